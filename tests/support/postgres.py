"""A real PostgreSQL for the length of a test: Debian's programs on this machine, reached from pods."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.waiting import wait_for

USER = "mlflow"
SYSTEM_USER = "postgres"


class PostgresMissingError(RuntimeError):
    """This machine has no PostgreSQL."""

    def __init__(self) -> None:
        super().__init__("no PostgreSQL server programs in /usr/lib/postgresql; run: apt-get install postgresql")


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A running server."""

    programs: Path
    host: str
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """Its address for SQLAlchemy."""
        return f"postgresql://{USER}:{self.password}@{self.host}:{self.port}/postgres"

    def ask(self, query: str) -> str:
        """What a query answers, without decoration."""
        command = [str(self.programs / "psql"), self.url, "--no-psqlrc", "--tuples-only", "--no-align", "-c", query]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server on the address under which the cluster's nodes know this machine."""
    host = _address_for_nodes()
    folder = Path(tempfile.mkdtemp(prefix="loadline-postgres-"))
    server = Postgres(programs=_programs(), host=host, port=_free_port(host), password=secrets.token_hex(16))
    try:
        _initialise(server, folder)
        (folder / "data/pg_hba.conf").write_text("host all all all scram-sha-256\n")
        command = [str(server.programs / "postgres"), "-D", str(folder / "data"), "-h", server.host]
        command += ["-p", str(server.port), "-c", "unix_socket_directories="]
        with (folder / "log").open("w") as log, subprocess.Popen(_as_user(command), stdout=log, stderr=log) as process:
            try:
                wait_for(
                    lambda: _accepts(server),
                    "PostgreSQL accepts connections",
                    within=30,
                    context=(folder / "log").read_text,
                )
                yield server
            finally:
                # Fast: PostgreSQL would otherwise wait until the last client of its own accord has gone.
                process.send_signal(signal.SIGINT)
                process.wait(timeout=30)
    finally:
        shutil.rmtree(folder)


def _address_for_nodes() -> str:
    command = ["docker", "network", "inspect", "kind", "--format", "{{json .IPAM.Config}}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return next(str(config["Gateway"]) for config in json.loads(said) if "Gateway" in config)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise PostgresMissingError
    return found[-1].parent


def _initialise(server: Postgres, folder: Path) -> None:
    password = folder / "password"
    password.write_text(server.password)
    if os.geteuid() == 0:
        for path in (folder, password):
            shutil.chown(path, SYSTEM_USER)
    command = [str(server.programs / "initdb"), "-D", str(folder / "data"), "-U", USER, "--pwfile", str(password)]
    subprocess.run(_as_user([*command, "--no-sync"]), capture_output=True, timeout=60, check=True)


def _as_user(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--clear-groups", *command]


def _accepts(server: Postgres) -> bool:
    command = [str(server.programs / "pg_isready"), "-h", server.host, "-p", str(server.port)]
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
