"""The serving runtime as a real process on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 60.0
END_SECONDS = 60.0


@dataclass(kw_only=True)
class ServingProcess:
    """A process, and what it logged."""

    process: "subprocess.Popen[bytes]"
    log: Path
    ports: dict[str, int] = field(default_factory=dict)

    def events(self) -> list[dict[str, Any]]:
        """Everything logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def url(self, name: str) -> str:
        """The address of the server `http` or `metrics`."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def grpc(self) -> str:
        """The target of a gRPC channel."""
        return f"127.0.0.1:{self.ports['grpc']}"

    def wait_until_ready(self) -> None:
        """Return when readiness says so."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            listening = [event for event in self.events() if event["event"] == "Listening"]
            if listening:
                self.ports = {name: listening[0][name] for name in ("http", "grpc", "metrics")}
                if httpx.get(f"{self.url('metrics')}/readyz").status_code == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(END_SECONDS)


@contextmanager
def serving(folder: Path, command: str = "serve", **settings: object) -> Iterator[ServingProcess]:
    """Run `loadline-serving` on free ports with these settings (lower case, without prefix)."""
    given: dict[str, object] = {
        "model_name": "m",
        "model_version": "3",
        "model_dir": folder,
        "host": "127.0.0.1",
        "http_port": 0,
        "grpc_port": 0,
        "metrics_port": 0,
        "termination_log": folder / "termination-log",
    } | settings
    ours = {f"LOADLINE_{name.upper()}": str(value) for name, value in given.items()}
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "loadline_serving", command], env={**os.environ, **ours}, stderr=stderr
        )
    try:
        yield ServingProcess(process=process, log=log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(END_SECONDS)
