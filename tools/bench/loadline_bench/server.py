"""How does a server come up on a core of its own, and go away with all its processes?"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadline_bench import usage
from loadline_bench.models import Model, prepare
from loadline_bench.peers import MODEL_NAME, Peer
from loadline_bench.places import Places

END_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server."""

    pid: int
    http_port: int
    grpc_port: int
    started: float
    """When its process was made, on the monotonic clock."""
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process.poll() is not None


class NotInstalledError(RuntimeError):
    """A peer has no environment on this machine."""

    def __init__(self, peer: Peer, python: Path) -> None:
        super().__init__(f"{peer.name} is not installed here: there is no {python}; `make bench-peers` says why")


@contextmanager
def serving(peer: Peer, model: Model, places: Places, *, core: int) -> Iterator[Server]:
    """Run a peer with a model; at the end none of its processes is left."""
    place = _placed(peer, model, places)
    if not Path(place["python"]).exists():
        raise NotInstalledError(peer, Path(place["python"]))
    if peer.prepare:
        prepare([word.format(**place) for word in peer.prepare], Path(place["prepared"]))
    log = places.log(peer, model)
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["taskset", "-c", str(core), *(word.format(**place) for word in peer.command)]
    with log.open("wb") as said:
        begun = time.monotonic()
        process = subprocess.Popen(
            words, env=environment(peer, place), cwd=place["scratch"], stdout=said, stderr=said, start_new_session=True
        )
    try:
        yield Server(
            pid=process.pid,
            http_port=int(place["http_port"]),
            grpc_port=int(place["grpc_port"]),
            started=begun,
            process=process,
            log=log,
        )
    finally:
        _end(process)


def environment(peer: Peer, place: Mapping[str, str]) -> dict[str, str]:
    """The variables that a peer sees: no setting of the person who measures, no code of ours in a peer's process."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LOADLINE_") and (name != "PYTHONPATH" or not peer.installed)
    }
    shared = {
        "PATH": f"{place['bin']}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "MODEL_NAME": MODEL_NAME,
        "MODEL_FILE": place["model_file"],
        "HTTP_PORT": place["http_port"],
        "GRPC_PORT": place["grpc_port"],
        "METRICS_PORT": place["metrics_port"],
    }
    return kept | shared | {name: value.format(**place) for name, value in peer.environment.items()}


def _placed(peer: Peer, model: Model, places: Places) -> dict[str, str]:
    """What stands for each word in braces."""
    scratch = places.scratch(peer)
    scratch.mkdir(parents=True, exist_ok=True)
    http, grpc, metrics = _free_ports(3)
    python = places.python(peer)
    return {
        "python": str(python),
        "bin": str(python.parent),
        "scripts": str(places.scripts),
        "messages": str(places.messages),
        "model_file": str(places.models.file(model)),
        "model_folder": str(places.models.folder(model)),
        "prepared": str(places.models.prepared(model, peer.name)),
        "scratch": str(scratch),
        "http_port": str(http),
        "grpc_port": str(grpc),
        "metrics_port": str(metrics),
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask every process of the server to end, and end those that do not."""
    for order in (signal.SIGTERM, signal.SIGKILL):
        alive = _alive(process)
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, order)
        deadline = time.monotonic() + END_SECONDS
        while _alive(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    process.wait(END_SECONDS)


def _alive(process: "subprocess.Popen[bytes]") -> list[int]:
    ended = process.poll() is not None
    return [pid for pid in usage.processes(process.pid) if pid != process.pid or not ended]
