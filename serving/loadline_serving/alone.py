"""How does a model run without Kubernetes?

Find it, say what is happening, serve it on this machine, and leave at once when asked to.
"""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn

from loadline_contracts.conditions import Reason
from pydantic import Field, ValidationError

from loadline_serving.aside import aside
from loadline_serving.errors import StartupFault
from loadline_serving.inference import Model
from loadline_serving.locate import Located, locate
from loadline_serving.screen import Screen, size
from loadline_serving.serve import Ports, Surroundings, serve
from loadline_serving.settings import Port, ServeSettings
from loadline_serving.welcome import Place, example_inputs, welcome

_TICK_SECONDS = 0.1
_INTERRUPTED = 128 + signal.SIGINT


class AloneSettings(ServeSettings):
    """What `loadline-serving MODEL` reads: as `serve`, with defaults for one's own machine."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    http_port: Port = 8090
    """Inference over HTTP."""
    grpc_port: Port = 8091
    """Inference over gRPC."""
    metrics_port: Port = 8092
    """Metrics and probes."""
    drain_quiet_seconds: float = Field(default=0, ge=0)
    """After Ctrl-C, serving goes on until no request has come for so long."""
    grace_seconds: float = Field(default=10, gt=0)
    """Requests in flight may take so long after Ctrl-C."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line says."""

    model: str
    sha256: str | None
    options: Mapping[str, Any]
    """Settings by field, those alone that were given."""


def run(wish: Wish, screen: Screen, *, ca_bundle: Path | None) -> None:
    """Serve until told to stop; a StartupFault says what is wrong with the model or the settings."""
    import uvloop  # noqa: PLC0415  # check and the tests of this module do without

    # What is wrong with the options is told before anything is downloaded.
    _expect_free_ports(_settings(wish, Located(entry=Path(), name="unknown")))
    begun = monotonic()
    # Beside the main thread, which a Ctrl-C reaches even while the network keeps the other waiting.
    located = aside(lambda: locate(wish.model, sha256=wish.sha256, screen=screen, ca_bundle=ca_bundle)).result()
    uvloop.run(_serve(_settings(wish, located), located, screen, begun))


async def _serve(settings: AloneSettings, located: Located, screen: Screen, begun: float) -> None:
    ready: Future[tuple[Model, Ports]] = Future()
    showing = asyncio.create_task(_show(settings, located, screen, asyncio.wrap_future(ready)))
    around = Surroundings(
        entry=located.entry,
        min_quiet_seconds=0,
        on_ready=lambda model, ports: ready.set_result((model, ports)),
        on_stop=_stopping(screen),
    )
    try:
        await serve(settings, around)
    finally:
        showing.cancel()
        screen.clear()
    screen.say(f"Stopped {settings.model_name} after {monotonic() - begun:.0f} s.")


async def _show(
    settings: AloneSettings, located: Located, screen: Screen, ready: "asyncio.Future[tuple[Model, Ports]]"
) -> None:
    """How loading goes, and then where the model is reached."""
    begun = monotonic()
    what = f"{settings.model_name} ({size(located.size)})"
    if not screen.is_terminal:
        screen.say(f"Loading {what} from {located.entry}")
    while not ready.done():
        screen.progress(f"Loading {what} … {monotonic() - begun:.1f} s")
        await asyncio.wait([ready], timeout=_TICK_SECONDS)
    took = monotonic() - begun
    model, ports = ready.result()
    inputs = await asyncio.wrap_future(aside(lambda: example_inputs(model)))
    place = Place(
        name=settings.model_name,
        version=settings.model_version,
        host=settings.host,
        http=ports.http,
        grpc=ports.grpc,
        metrics=ports.metrics,
    )
    screen.say(f"Loaded {what} in {took:.1f} s\n\n{welcome(place, model.signature, inputs)}")


def _stopping(screen: Screen) -> Callable[[bool], None]:
    def told(first: bool) -> None:  # noqa: FBT001  # the shape of serve's callback
        if not first:
            screen.clear()
            _end_now()

    return told


def _end_now() -> NoReturn:
    """Whoever presses Ctrl-C twice does not want to wait for requests in flight."""
    os._exit(_INTERRUPTED)


def _settings(wish: Wish, located: Located) -> AloneSettings:
    """Options of the command line before variables LOADLINE_…, and those before what the model itself says."""
    given = dict(wish.options)
    for field, found in (("model_name", located.name), ("model_version", located.version)):
        if found and field not in given and not os.environ.get(f"LOADLINE_{field.upper()}"):
            given[field] = found
    try:
        return AloneSettings(**given)
    except ValidationError as error:
        problems = "; ".join(_problem(problem["loc"][0], problem["msg"], wish) for problem in error.errors())
        raise StartupFault(Reason.BAD_SETTINGS, problems) from error


def _problem(field: object, message: str, wish: Wish) -> str:
    if field in wish.options:
        option = str(field).removeprefix("model_").replace("_", "-")
        return f"--{option} {wish.options[str(field)]}: {message}"
    return f"LOADLINE_{str(field).upper()}: {message}"


def _expect_free_ports(settings: AloneSettings) -> None:
    """Find out before a model is loaded, and say which option chooses another port."""
    for option, port in (
        ("--http-port", settings.http_port),
        ("--grpc-port", settings.grpc_port),
        ("--metrics-port", settings.metrics_port),
    ):
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                # As the servers do: a port whose last connections are still being forgotten is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            raise StartupFault(Reason.BAD_SETTINGS, _why_not(settings.host, port, option, error)) from error


def _why_not(host: str, port: int, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; choose another with {option} (0: any that is free)"
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by you; choose another with {option} (1024 and above)"
    return f"cannot listen on {host}: {error.strerror}; choose an address of this machine with --host"
