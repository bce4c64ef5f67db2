"""Do ten thousand callers that say nothing keep one that asks from its answer?"""

import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support import serving_graphs
from support.model_folders import put_in_pod
from support.serving_process import ServingProcess, serving

IDLE = 10_000
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 1, 1, 1]}]}
MOST_BYTES_EACH = 20_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServingProcess]:
    put_in_pod(tmp_path, {"model.onnx": serving_graphs.classifier()})
    with serving(tmp_path) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open as many sockets as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > IDLE + 1000, f"this machine lets a process open {hard} files; the test needs {IDLE}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(process: ServingProcess) -> int:
    fields = Path(f"/proc/{process.process.pid}/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()


@pytest.mark.usefixtures("many_files")
def test_ten_thousand_idle_connections_cost_little_memory_and_nobody_an_answer(
    server: ServingProcess, say: Callable[[str], None]
) -> None:
    before = resident(server)
    idle = [socket.create_connection(("127.0.0.1", server.ports["http"])) for _ in range(IDLE)]
    try:
        with httpx.Client(base_url=server.url("http")) as client:
            for _ in range(20):
                assert client.post("/v2/models/m/infer", json=BODY).status_code == 200
        assert httpx.get(server.url("metrics") + "/readyz").status_code == 200
        each = (resident(server) - before) / IDLE
    finally:
        for connection in idle:
            connection.close()
    say(f"{IDLE} idle connections: {each:.0f} bytes each")
    assert each < MOST_BYTES_EACH
