"""What does the command line ask for?"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from loadline_contracts.conditions import Reason

from loadline_serving import logs, termination
from loadline_serving.errors import StartupFault

if TYPE_CHECKING:
    from loadline_serving.settings import LogLevel

log = logging.getLogger(__name__)

_TERMINATED = 128 + signal.SIGTERM
_INTERRUPTED = 128 + signal.SIGINT
_MAX_THREADS = 1024
_MODEL = (
    "a file (./model.onnx), a folder (with one .onnx file, of MLflow, or as fetch leaves it), https://host/file.onnx, "
    "s3://bucket/file.onnx, models:/name/7 or models:/name@alias"
)
_USAGE = """loadline-serving MODEL [options]
       loadline-serving check MODEL [options]
       loadline-serving fetch | serve"""
_IN_PODS = (
    "In the pods of a ModelDeployment: 'fetch' brings the model's files from the object store, verified; 'serve' "
    "answers requests. Both take their settings from the variables LOADLINE_…. A model that is called fetch, serve or "
    "check is given as ./fetch."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says whether it did its work."""
    # From here on what is half done is tidied up before the process ends (entry.py ends it on the spot).
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in IN_PODS:
        return _in_pod(given)
    return _for_person(given)


def run() -> NoReturn:
    """Be the process: run one command and end on the spot."""
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of native libraries (the object store's client) may still run, and abort an interpreter taken down.
    os._exit(code)


def _in_pod(arguments: Sequence[str]) -> int:
    """Settings are variables, events are JSON, a fault is told to the kubelet."""
    parser = argparse.ArgumentParser(prog="loadline-serving")
    parser.add_argument("command", choices=IN_PODS)
    command: str = parser.parse_args(arguments).command
    logs.configure("INFO")
    try:
        return IN_PODS[command]()
    except StartupFault as fault:
        termination.report(fault)
        return 1


def _for_person(arguments: Sequence[str]) -> int:
    """Settings are options, events stay in the background, a fault is a sentence."""
    options = _parse(arguments)
    try:
        logs.configure_for_people(_log_level())
        return _check(options) if options.pop("check") else _alone(options)
    except StartupFault as fault:
        sys.stdout.flush()
        print(f"loadline-serving: {fault.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nloadline-serving: stopped before the model was there", file=sys.stderr)
        return _INTERRUPTED


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    """The options that were given, by the setting's name."""
    check = bool(arguments) and arguments[0] == "check"
    parser = argparse.ArgumentParser(
        prog="loadline-serving",
        usage=_USAGE,
        description="Serve one ONNX model over the Open Inference Protocol V2; 'check' says what would come of it.",
        epilog=_IN_PODS,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.set_defaults(check=check)
    parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("--sha256", metavar="HEX", help="what the file must be; also as #sha256=HEX behind an address")
    parser.add_argument("--threads", metavar="N", help="threads that one inference may use (1)")
    if check:
        parser.add_argument("--json", action="store_true", help="the report for machines")
    else:
        _add_serving_options(parser)
    return vars(parser.parse_args(arguments[1:] if check else arguments))


def _add_serving_options(parser: argparse.ArgumentParser) -> None:
    for option, field, metavar, text in (
        ("--name", "model_name", "NAME", "the name callers use (the file's, the folder's, or the registry's)"),
        ("--version", "model_version", "VERSION", "the version callers may name (the registry's, or 1)"),
        ("--host", "host", "ADDRESS", "the address to listen on (127.0.0.1; in a container: 0.0.0.0)"),
        ("--http-port", "http_port", "PORT", "inference over HTTP (8090)"),
        ("--grpc-port", "grpc_port", "PORT", "inference over gRPC (8091)"),
        ("--metrics-port", "metrics_port", "PORT", "metrics and probes (8092)"),
    ):
        parser.add_argument(option, dest=field, metavar=metavar, help=text)


def _log_level() -> "LogLevel | None":
    from loadline_serving.settings import LogLevel  # noqa: PLC0415

    given = os.environ.get("LOADLINE_LOG_LEVEL")
    try:
        return LogLevel(given) if given else None
    except ValueError as error:
        raise StartupFault(Reason.BAD_SETTINGS, f"LOADLINE_LOG_LEVEL: {error}") from error


def _ca_bundle() -> Path | None:
    given = os.environ.get("LOADLINE_CA_BUNDLE")
    return Path(given) if given else None


# Each command imports only what it needs: fetch starts without a runtime, serve without a store.
def _fetch() -> int:
    from loadline_serving.fetch import fetch, open_store  # noqa: PLC0415
    from loadline_serving.settings import FetchSettings  # noqa: PLC0415

    settings = FetchSettings.read()
    logging.getLogger().setLevel(settings.log_level)
    try:
        asyncio.run(_until_terminated(fetch(open_store(settings), settings.model_digest, settings.model_dir)))
    except asyncio.CancelledError:
        return _TERMINATED
    return 0


def _serve() -> int:
    import uvloop  # noqa: PLC0415

    from loadline_serving.serve import serve  # noqa: PLC0415
    from loadline_serving.settings import ServeSettings  # noqa: PLC0415

    settings = ServeSettings.read()
    logging.getLogger().setLevel(settings.log_level)
    uvloop.run(serve(settings))
    return 0


def _alone(options: dict[str, str]) -> int:
    from loadline_serving import alone  # noqa: PLC0415
    from loadline_serving.screen import Screen  # noqa: PLC0415

    wish = alone.Wish(model=options.pop("model"), sha256=options.pop("sha256", None), options=options)
    alone.run(wish, Screen(sys.stdout), ca_bundle=_ca_bundle())
    return 0


def _check(options: dict[str, str]) -> int:
    from loadline_serving.check import check  # noqa: PLC0415
    from loadline_serving.screen import Screen  # noqa: PLC0415

    threads = options.get("threads", "1")
    if not threads.isdecimal() or not 1 <= int(threads) <= _MAX_THREADS:
        raise StartupFault(Reason.BAD_SETTINGS, f"--threads {threads}: write a number from 1 to {_MAX_THREADS}")
    return check(
        options["model"],
        sha256=options.get("sha256"),
        threads=int(threads),
        as_json="json" in options,
        screen=Screen(sys.stderr),
        ca_bundle=_ca_bundle(),
    )


async def _until_terminated(work: Coroutine[None, None, object]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


IN_PODS: Mapping[str, Callable[[], int]] = {"fetch": _fetch, "serve": _serve}
