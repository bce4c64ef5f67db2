"""`loadline-serving MODEL …` as a person starts it: words on the command line, and what is shown."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.waiting import wait_for

START_SECONDS = 60.0
END_SECONDS = 60.0
ANY_PORTS = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
_URL = re.compile(r"^ +(HTTP|docs|gRPC|metrics) +(\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A process that ran to its end."""

    code: int
    shown: str
    errors: str


@dataclass(frozen=True, kw_only=True)
class AloneProcess:
    """A process that serves, and what it showed."""

    process: "subprocess.Popen[bytes]"
    output: Path
    errors: Path

    @property
    def shown(self) -> str:
        """Everything on standard output so far."""
        return self.output.read_text()

    def urls(self) -> Mapping[str, str]:
        """The addresses that are shown when it is ready, by HTTP, docs, gRPC and metrics."""
        wait_for(
            lambda: "Ctrl-C stops it." in self.shown or self.process.poll() is not None,
            "it says that it is ready",
            within=START_SECONDS,
            every=0.02,
            context=lambda: self.shown + self.errors.read_text(),
        )
        assert self.process.poll() is None, self.errors.read_text()
        return {match[1]: match[2] for match in _URL.finditer(self.shown)}

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(END_SECONDS)


@contextmanager
def alone(folder: Path, *words: object, **variables: str) -> Iterator[AloneProcess]:
    """Serve on free ports, with what is shown kept below the folder."""
    output, errors = folder / "shown", folder / "errors"
    with output.open("wb") as stdout, errors.open("wb") as stderr:
        process = subprocess.Popen(
            _command(*words, *ANY_PORTS), env=_environment(folder, variables), stdout=stdout, stderr=stderr
        )
    try:
        yield AloneProcess(process=process, output=output, errors=errors)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(END_SECONDS)


def run_to_end(folder: Path, *words: object, **variables: str) -> Ended:
    """Run a command that ends by itself."""
    done = subprocess.run(
        _command(*words),
        env=_environment(folder, variables),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    return Ended(code=done.returncode, shown=done.stdout, errors=done.stderr)


def _command(*words: object) -> list[str]:
    return [sys.executable, "-m", "loadline_serving", *map(str, words)]


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "LOADLINE_CACHE_DIR": str(folder / "cache"), **variables}
