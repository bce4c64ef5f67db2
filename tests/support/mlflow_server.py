"""A real MLflow server of a test's own: on loopback, with SQLite, in a folder that vanishes."""

import os
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from support.mlflow_registry import Mlflow
from support.programs import ROOT
from support.waiting import wait_for

PYTHON = Path(os.environ.get("LOADLINE_MLFLOW_PYTHON", ROOT / ".venv-train" / "bin" / "python"))
START_SECONDS = 240


class TrainingEnvironmentMissingError(RuntimeError):
    """The Python that has MLflow was not installed."""

    def __init__(self) -> None:
        super().__init__(f"{PYTHON} is not there; run: make train, or name another in LOADLINE_MLFLOW_PYTHON")


class LocalMlflow(Mlflow):
    """The same calls as for the cluster's registry, straight to a server on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._api = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self._base = ""

    def artifacts(self, model: str, version: str) -> str:
        """Where the registry keeps the files of a version."""
        found = self._call("GET", "model-versions/get-download-uri", name=model, version=version)
        return str(found["artifact_uri"])

    def close(self) -> None:
        """Let go of the connections."""
        self._api.close()


def free_port() -> int:
    """A port that nobody listens on, and that no outgoing connection is given while the server starts."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("none of 100 ports is free")


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[LocalMlflow]:
    """Run a server over a folder, and end it."""
    if not PYTHON.exists():
        raise TrainingEnvironmentMissingError
    folder.mkdir(exist_ok=True)
    command = [str(PYTHON), "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/artifacts"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = folder / "server.log"
    with log.open("a") as output:
        server = subprocess.Popen(command, env=os.environ | quiet, stdout=output, stderr=output)
    registry = LocalMlflow(port)
    try:
        wait_for(
            lambda: registry.answers() or server.poll() is not None,
            "MLflow answers",
            within=START_SECONDS,
            context=log.read_text,
        )
        assert server.poll() is None, log.read_text()
        yield registry
    finally:
        registry.close()
        server.terminate()
        server.wait(timeout=30)


def log_models(registry: LocalMlflow) -> None:
    """Log models as people do, with MLflow's own client."""
    script = Path(__file__).with_name("mlflow_models.py")
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [PYTHON, script, registry.url], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
