"""What does the command line ask for?"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import NoReturn

from loadline_serving import logs, termination
from loadline_serving.errors import StartupFault

log = logging.getLogger(__name__)

_TERMINATED = 128 + signal.SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says whether it did its work."""
    # As a container's first process we get no default action for SIGTERM: without this it would be ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    command = _parse(sys.argv[1:] if arguments is None else arguments)
    logs.configure("INFO")
    try:
        return COMMANDS[command]()
    except StartupFault as fault:
        termination.report(fault)
        return 1


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


def _parse(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="loadline-serving", description=__doc__)
    parser.add_argument(
        "command",
        choices=COMMANDS,
        help="fetch: bring the model's files from the object store, verified; serve: answer requests "
        "(settings of both are the variables LOADLINE_…)",
    )
    command: str = parser.parse_args(arguments).command
    return command


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


async def _until_terminated(work: Coroutine[None, None, object]) -> None:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


COMMANDS: Mapping[str, Callable[[], int]] = {"fetch": _fetch, "serve": _serve}
