"""How does a command run, with a deadline and a sign of life?"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from loadline_cluster import paths
from loadline_cluster.errors import CommandFailedError, MissingProgramError

SIGN_OF_LIFE_SECONDS = 20.0


def run(
    command: Sequence[object],
    *,
    deadline: float,
    remedy: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | Path | None = None,
) -> str:
    """Run `command` and return what it printed; raise with its own last words if it fails.

    `env` is added to the environment. `stdin` is text, or a file to read from.
    """
    arguments = [str(part) for part in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, _opened(stdin) as source:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=source,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        except FileNotFoundError:
            raise MissingProgramError(arguments[0], remedy or "install it, then run this again") from None
        ending = _ending(process, deadline=deadline, err=err)
        if ending:
            said = _text(err) or _text(out)
            raise CommandFailedError(
                arguments, ending=ending, stderr=said, log=_kept(arguments[0], said), remedy=remedy
            )
        return _text(out)


def succeeds(command: Sequence[object], *, deadline: float, env: Mapping[str, str] | None = None) -> bool:
    """Say whether `command` is there and ends well."""
    try:
        run(command, deadline=deadline, env=env)
    except (CommandFailedError, MissingProgramError):
        return False
    return True


def _ending(process: subprocess.Popen[bytes], *, deadline: float, err: IO[bytes]) -> str:
    """Wait for the end of `process`; return what was wrong with it, or nothing."""
    started = time.monotonic()
    try:
        while (left := deadline - (time.monotonic() - started)) > 0:
            try:
                code = process.wait(timeout=min(SIGN_OF_LIFE_SECONDS, left))
            except subprocess.TimeoutExpired:
                _show_life(time.monotonic() - started, err)
                continue
            return f"ended with status {code}" if code else ""
    finally:
        # Also on Ctrl-C: the command has a session of its own and would live on.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"was stopped after its deadline of {deadline:.0f} s"


def _show_life(seconds: float, err: IO[bytes]) -> None:
    telling = [line for line in _text(err).strip().splitlines() if "level=warning" not in line]
    print(f"    … {seconds:.0f} s {telling[-1][:120] if telling else ''}", flush=True)


def _kept(program: str, said: str) -> Path:
    """Keep the whole of what a failed command said; the error shows its end only."""
    log = paths.made(paths.cache() / "logs") / f"{Path(program).name}.log"
    log.write_text(said)
    return log


def _opened(stdin: str | Path | None) -> IO[bytes]:
    if isinstance(stdin, Path):
        return stdin.open("rb")
    source = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    source.write((stdin or "").encode())
    source.seek(0)
    return source


def _text(file: IO[bytes]) -> str:
    # pread leaves the offset alone: the child writes through the same one.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")
