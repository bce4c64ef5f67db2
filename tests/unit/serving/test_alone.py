"""Does a model run without Kubernetes, and is a person told what they need?"""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support import serving_graphs
from support.alone_process import ANY_PORTS, AloneProcess, alone, run_to_end
from support.waiting import wait_for

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 1, 1, 1]}]}


def onnx_file(folder: Path, graph: bytes, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(graph)
    return path


def pasted(process: AloneProcess) -> "subprocess.CompletedProcess[str]":
    """Paste the example that is shown into a shell."""
    command = process.shown.partition("Try it:\n")[2].partition("\n\n")[0]
    return subprocess.run(
        ["bash", "-c", command + " -w '\\n%{http_code}'"],
        capture_output=True,
        text=True,
        cwd=process.output.parent,
        timeout=30,
        check=False,
    )


@contextmanager
def half_asked(process: AloneProcess) -> Iterator[Callable[[], bytes]]:
    """A request in flight, of which the last byte is missing; yields how to send it and get the answer."""
    urls = process.urls()
    address = urlsplit(urls["HTTP"])
    body = json.dumps(BODY).encode()
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = f"POST {address.path} HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:-1])
        wait_for(
            lambda: re.search(r"^loadline_in_flight\{.*\} 1\.0$", httpx.get(urls["metrics"]).text, re.MULTILINE),
            "the request is in flight",
            within=10,
            every=0.01,
        )

        def rest() -> bytes:
            connection.sendall(body[-1:])
            return connection.recv(65536)

        yield rest


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AloneProcess]:
    """One process for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("alone")
    model = onnx_file(folder, serving_graphs.classifier(), "fraud detection.onnx")
    with alone(folder, model, "--version", "7") as process:
        process.urls()
        yield process


def test_every_address_that_is_shown_answers(server: AloneProcess) -> None:
    urls = server.urls()
    answer = httpx.post(urls["HTTP"], json=BODY)
    assert (answer.status_code, answer.json()["model_name"], answer.json()["model_version"]) == (
        200,
        "fraud detection",
        "7",
    )
    assert httpx.get(urls["docs"]).status_code == 200
    assert 'loadline_ready{model="fraud detection"' in httpx.get(urls["metrics"]).text
    with grpc.insecure_channel(urls["gRPC"]) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_inputs_and_outputs_are_shown_with_types_and_shapes(server: AloneProcess) -> None:
    assert re.search(r"inputs\n +x +FP32 +\[any, 4\]", server.shown)
    assert re.search(r"outputs\n +scores +FP32 +\[any, 3\]", server.shown)


def test_elsewhere_than_on_a_terminal_there_is_no_control_character_and_events_are_json(server: AloneProcess) -> None:
    assert re.search(r"[\x00-\x09\x0b-\x1f]", server.shown) is None
    events = [json.loads(line)["event"] for line in server.errors.read_text().splitlines()]
    assert events[:2] == ["Listening", "Loaded model"]


@pytest.mark.parametrize(
    "graph",
    [
        serving_graphs.classifier(),
        serving_graphs.picture(5),
        serving_graphs.identity("FP16"),
        serving_graphs.identity("BYTES"),
        serving_graphs.with_sequence_output(),
        serving_graphs.with_zipmap(),
    ],
    ids=["few numbers", "a picture", "half precision", "strings", "an output without a form", "a table of labels"],
)
def test_the_example_that_is_shown_can_be_pasted(tmp_path: Path, graph: bytes) -> None:
    with alone(tmp_path, onnx_file(tmp_path, graph)) as process:
        process.urls()
        done = pasted(process)
    assert done.stdout.endswith("200"), (process.shown, done)


def test_ctrl_c_ends_it_at_once_and_well_with_one_line(tmp_path: Path) -> None:
    with alone(tmp_path, onnx_file(tmp_path, serving_graphs.classifier())) as process:
        urls = process.urls()
        before = process.shown
        with httpx.Client() as client:
            assert client.post(urls["HTTP"], json=BODY).status_code == 200
            begun = time.monotonic()
            process.interrupt()
            assert process.wait() == 0
    assert time.monotonic() - begun < 2
    assert re.fullmatch(r"Stopped model after \d+ s\.\n", process.shown.removeprefix(before))


def test_a_request_in_flight_is_answered_after_ctrl_c(tmp_path: Path) -> None:
    with alone(tmp_path, onnx_file(tmp_path, serving_graphs.classifier())) as process, half_asked(process) as rest:
        process.interrupt()
        wait_for(lambda: "Draining" in process.errors.read_text(), "it drains", within=10, every=0.01)
        assert rest().startswith(b"HTTP/1.1 200")
        assert process.wait() == 0


def test_a_second_ctrl_c_does_not_wait_for_callers(tmp_path: Path) -> None:
    with alone(tmp_path, onnx_file(tmp_path, serving_graphs.classifier())) as process, half_asked(process):
        process.interrupt()
        wait_for(lambda: "Draining" in process.errors.read_text(), "it drains", within=10, every=0.01)
        begun = time.monotonic()
        process.interrupt()
        assert process.wait() == 128 + signal.SIGINT
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port", "--metrics-port"])
def test_a_port_that_is_taken_is_named_with_the_option_that_changes_it(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run_to_end(tmp_path, "models:/never/1", *ANY_PORTS, option, port)
    assert (ended.code, ended.shown) == (1, "")
    assert ended.errors == (
        f"loadline-serving: port {port} of 127.0.0.1 is taken; choose another with {option} (0: any that is free)\n"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.onnx"], "there is no file or folder nowhere.onnx"),
        (["--threads", "0", "nowhere.onnx"], "--threads 0: Input should be greater than or equal to 1"),
        (["--name", "a/b", "nowhere.onnx"], "--name a/b: String should match pattern"),
        (["--http-port", "ninety", "nowhere.onnx"], "--http-port ninety: Input should be a valid integer"),
        (["--host", "192.0.2.1", "nowhere.onnx"], "choose an address of this machine with --host"),
        (["ftp://host/model.onnx"], "'ftp://host/model.onnx' names no model"),
    ],
)
def test_a_wrong_word_is_a_sentence_that_names_it(tmp_path: Path, words: list[str], says: str) -> None:
    ended = run_to_end(tmp_path, *words, *(() if "--http-port" in words else ANY_PORTS))
    assert ended.code == 1
    assert ended.errors.startswith("loadline-serving: ")
    assert says in ended.errors


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    ended = run_to_end(tmp_path, onnx_file(tmp_path, b"not a model"), *ANY_PORTS)
    assert ended.code == 1
    assert "model.onnx is not an ONNX model" in ended.errors.splitlines()[-1]


def test_variables_give_what_no_option_does(tmp_path: Path) -> None:
    model = onnx_file(tmp_path, serving_graphs.classifier())
    variables = {"LOADLINE_MODEL_NAME": "named", "LOADLINE_MODEL_VERSION": "9", "LOADLINE_LOG_LEVEL": "ERROR"}
    with alone(tmp_path, model, "--version", "8", **variables) as process:
        process.urls()
        assert "named, version 8, is ready." in process.shown
    assert process.errors.read_text() == ""


def test_on_a_terminal_one_line_changes_while_it_loads(tmp_path: Path) -> None:
    model = onnx_file(tmp_path, serving_graphs.classifier())
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "loadline_serving", str(model), *ANY_PORTS]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = ""
    try:
        while "Ctrl-C stops it." not in shown:
            shown += os.read(ours, 65536).decode()
    finally:
        process.terminate()
        assert process.wait(30) == 0
        os.close(ours)
    assert "\r\x1b[KLoading model (0.2 kB) … 0.0 s" in shown
    assert "\r\x1b[KLoaded model (0.2 kB) in" in shown
    assert '"event"' not in shown
