"""Does the real process serve over every protocol, stay observable, and leave without failing anyone?"""

import ast
import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from time import sleep
from typing import Any

import grpc
import grpc.aio
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from loadline_contracts.metrics import SERVING_LATENCY_EDGES
from loadline_serving.protocol import open_inference_pb2 as pb
from loadline_serving.protocol import open_inference_pb2_grpc as pb_grpc
from support import serving_graphs
from support.model_folders import put_in_pod, put_in_store
from support.serving_process import ServingProcess, serving

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 1, 1, 1]}]}
INFER = "/v2/models/m/infer"
SCORES = [1.8, 2.2, 2.6]
LIMIT = 10_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProcess]:
    """One process for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("pod")
    put_in_pod(folder, {"model.onnx": serving_graphs.classifier()})
    with serving(folder, max_request_bytes=LIMIT, revision="abc") as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
async def stub(server: ServingProcess) -> AsyncIterator[pb_grpc.GRPCInferenceServiceStub]:
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        yield pb_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]


def message(*, raw: bool, **changes: Any) -> pb.ModelInferRequest:
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 4])
    if not raw:
        tensor.contents.fp32_contents.extend([1, 1, 1, 1])
    raw_contents = [np.ones(4, "<f4").tobytes()] if raw else []
    fields = {"model_name": "m", "id": "a"} | changes
    return pb.ModelInferRequest(inputs=[tensor], raw_input_contents=raw_contents, **fields)


def test_it_answers_over_http(server: ServingProcess) -> None:
    answer = httpx.post(server.url("http") + INFER, json=BODY)
    assert answer.status_code == 200
    assert answer.headers["date"]
    np.testing.assert_allclose(answer.json()["outputs"][0]["data"], SCORES, rtol=1e-6)


def test_many_requests_share_a_connection(server: ServingProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["http"])) as connection:
        assert {ask(connection) for _ in range(20)} == {200}


def test_a_body_over_the_limit_is_refused_and_the_connection_goes_on(server: ServingProcess) -> None:
    with httpx.Client(base_url=server.url("http")) as client:
        assert client.post(INFER, content=b" " * (LIMIT + 1)).status_code == 413
        assert client.post(INFER, content=iter([b" " * LIMIT] * 50)).status_code == 413
        assert client.post(INFER, json=BODY).status_code == 200


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
async def test_it_answers_over_grpc_the_way_it_was_asked(stub: Any, raw: bool) -> None:
    answer = await stub.ModelInfer(message(raw=raw))
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "a")
    values = np.frombuffer(answer.raw_output_contents[0], "<f4") if raw else answer.outputs[0].contents.fp32_contents
    np.testing.assert_allclose(values, SCORES, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        (message(raw=True, model_name="other"), grpc.StatusCode.NOT_FOUND, "this server has 'm'"),
        (message(raw=True, model_version="9"), grpc.StatusCode.NOT_FOUND, "no version '9'"),
        (pb.ModelInferRequest(model_name="m"), grpc.StatusCode.INVALID_ARGUMENT, "missing input 'x'"),
        (message(raw=False, id="a" * LIMIT), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
async def test_a_wrong_call_gets_its_status(
    stub: Any, wrong: pb.ModelInferRequest, code: grpc.StatusCode, words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ModelInfer(wrong)
    assert caught.value.code() is code
    assert words in str(caught.value.details())


async def test_bytes_that_are_no_message_are_the_callers_fault(server: ServingProcess) -> None:
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        call: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")  # type: ignore[call-arg]  # plain bytes
        with pytest.raises(grpc.aio.AioRpcError, match="no ModelInferRequest") as caught:
            await call(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_call_that_the_gateway_gives_up_on_is_not_run(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ModelInfer(message(raw=True), metadata=(("x-envoy-expected-rq-timeout-ms", "0"),))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_it_tells_over_grpc_what_it_is(server: ServingProcess, stub: Any) -> None:
    assert (await stub.ServerLive(pb.ServerLiveRequest())).live
    assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
    assert (await stub.ModelReady(pb.ModelReadyRequest(name="m", version="3"))).ready
    assert (await stub.ServerMetadata(pb.ServerMetadataRequest())).name == "loadline-serving"
    metadata = await stub.ModelMetadata(pb.ModelMetadataRequest(name="m"))
    assert [(tensor.name, list(tensor.shape)) for tensor in metadata.inputs] == [("x", [-1, 4])]
    with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
        await stub.ModelMetadata(pb.ModelMetadataRequest(name="other"))
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_it_tells_over_grpc_which_services_and_messages_it_has(server: ServingProcess) -> None:
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.ModelInferRequest"),
    ]
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        services, file = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]
    names = {service.name for service in services.list_services_response.service}
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= names
    assert b"raw_input_contents" in file.file_descriptor_response.file_descriptor_proto[0]


async def test_metrics_count_both_protocols_by_arm(server: ServingProcess, stub: Any) -> None:
    async with httpx.AsyncClient() as client:
        await client.post(server.url("http") + INFER, json=BODY, headers={"x-loadline-arm": "shadow"})
        await stub.ModelInfer(message(raw=True), metadata=(("x-loadline-arm", "canary"),))
        text = (await client.get(server.url("metrics") + "/metrics")).text
    common = 'model="m",protocol="{}",revision="abc",version="3"}} 1.0'
    assert f'loadline_requests_total{{arm="shadow",code="200",{common.format("http")}' in text
    assert f'loadline_requests_total{{arm="canary",code="OK",{common.format("grpc")}' in text
    assert 'loadline_request_seconds_bucket{arm="canary",code="OK",le="+Inf",' in text
    assert 'loadline_ready{model="m",revision="abc",version="3"} 1.0' in text
    assert "loadline_model_info{" in text
    assert "process_resident_memory_bytes" in text


def test_probes_answer_on_the_metrics_port(server: ServingProcess) -> None:
    with httpx.Client(base_url=server.url("metrics")) as client:
        statuses = {path: client.get(path).status_code for path in ("/livez", "/startupz", "/readyz", "/x")}
    assert statuses == {"/livez": 200, "/startupz": 200, "/readyz": 200, "/x": 404}


def test_a_long_inference_holds_up_no_probe(tmp_path: Path) -> None:
    put_in_pod(tmp_path, {"model.onnx": serving_graphs.slow()})
    side = {"name": "side", "datatype": "INT64", "shape": [1], "data": [2500]}
    with serving(tmp_path) as process, ThreadPoolExecutor(1) as background:
        process.wait_until_ready()
        with (
            httpx.Client(base_url=process.url("http")) as client,
            httpx.Client(base_url=process.url("metrics")) as probe,
        ):
            answer = background.submit(client.post, INFER, json={"inputs": [side]}, timeout=60)
            meanwhile = 0
            while not answer.done():
                assert probe.get("/livez").status_code == 200
                meanwhile += 1
        assert answer.result().json()["outputs"][0]["data"] == [2500]
        # One probe may have been answered before the model ran and one after.
        assert meanwhile > 5


def test_draining_under_load_fails_no_request(tmp_path: Path) -> None:
    put_in_pod(tmp_path, {"model.onnx": serving_graphs.classifier()})
    with serving(tmp_path, drain_quiet_seconds=2) as process:
        process.wait_until_ready()
        idle = socket.create_connection(("127.0.0.1", process.ports["http"]))
        assert ask(idle) == 200
        tally = asyncio.run(_drain_under_load(process))
        assert process.wait() == 0
        idle.settimeout(1)
        assert idle.recv(1) == b"", "an idle connection is closed, not reset"
        idle.close()
        assert tally.failures == []
        assert min(tally.answered.values()) > 20, tally.answered
        events = {event["event"]: event for event in process.events()}
        assert events["Drained"]["quiet"]


@pytest.mark.parametrize("seconds", [0.0, 0.3], ids=["at once", "while it loads"])
def test_a_stop_before_it_is_ready_is_obeyed(tmp_path: Path, seconds: float) -> None:
    put_in_pod(tmp_path, {"model.onnx": serving_graphs.classifier()})
    with serving(tmp_path, drain_quiet_seconds=2) as process:
        sleep(seconds)
        process.terminate()
        assert process.wait() in {0, -signal.SIGTERM, 128 + signal.SIGTERM}


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (b"not a model", "NotOnnx"),
        (serving_graphs.with_unknown_operator("com.acme"), "UnsupportedOperator"),
    ],
)
def test_a_model_that_cannot_be_served_ends_the_process_with_its_reason(
    tmp_path: Path, graph: bytes, reason: str
) -> None:
    put_in_pod(tmp_path, {"model.onnx": graph})
    with serving(tmp_path) as process:
        assert process.wait() == 1
    told = json.loads((tmp_path / "termination-log").read_text())
    assert told["reason"] == reason
    assert "\n" not in told["message"]


def test_a_port_that_is_taken_is_a_bad_setting(tmp_path: Path, server: ServingProcess) -> None:
    put_in_pod(tmp_path, {"model.onnx": serving_graphs.classifier()})
    with serving(tmp_path, grpc_port=server.ports["grpc"]) as process:
        assert process.wait() == 1
    told = json.loads((tmp_path / "termination-log").read_text())
    assert told["reason"] == "BadSettings"
    assert "cannot listen" in told["message"]


def test_files_of_another_digest_are_not_served(tmp_path: Path) -> None:
    put_in_pod(tmp_path, {"model.onnx": serving_graphs.classifier()})
    with serving(tmp_path, model_digest="sha256:" + "0" * 64) as process:
        assert process.wait() == 1
    assert json.loads((tmp_path / "termination-log").read_text())["reason"] == "DigestMismatch"


def test_fetched_files_are_served(tmp_path: Path) -> None:
    pod, bucket = tmp_path / "pod", tmp_path / "bucket"
    pod.mkdir()
    manifest = put_in_store(bucket, {"model.onnx": serving_graphs.classifier()})
    store = {"model_digest": manifest.digest, "store_url": f"file://{bucket}"}
    with serving(pod, "fetch", **store) as fetching:
        assert fetching.wait() == 0
    with serving(pod, **store) as process:
        process.wait_until_ready()
        assert httpx.post(process.url("http") + INFER, json=BODY).status_code == 200


def test_a_fetch_of_a_missing_model_tells_why(tmp_path: Path) -> None:
    store = {"model_digest": "sha256:" + "0" * 64, "store_url": f"file://{tmp_path}"}
    with serving(tmp_path, "fetch", **store) as fetching:
        assert fetching.wait() == 1
    assert json.loads((tmp_path / "termination-log").read_text())["reason"] == "ModelFilesUnavailable"


def ask(connection: socket.socket) -> int:
    """One request on a raw connection; the status."""
    body = json.dumps(BODY).encode()
    connection.sendall(
        b"POST %s HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n" % (INFER.encode(), len(body)) + body
    )
    head, _, rest = receive(connection).partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    while len(rest) < length:
        rest += receive(connection)
    return int(head.split(b" ")[1])


def _ask_once(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        return ask(connection)


def receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    assert data, "the server closed the connection in an answer"
    return data


class Tally:
    """What callers saw."""

    def __init__(self) -> None:
        self.answered = {"kept": 0, "fresh": 0, "grpc": 0}
        self.failures: list[str] = []
        self.under_way = asyncio.Event()

    def count(self, name: str) -> None:
        """One more answer; every kind of caller is under way at ten."""
        self.answered[name] += 1
        if min(self.answered.values()) >= 10:
            self.under_way.set()


async def _drain_under_load(process: ServingProcess) -> Tally:
    """Load on kept, fresh and gRPC connections, as a gateway sends it: for a second after readiness went."""
    tally = Tally()
    url = process.url("http") + INFER
    stop = asyncio.Event()
    async with httpx.AsyncClient() as client, grpc.aio.insecure_channel(process.grpc) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]

        async def kept() -> bool:
            return (await client.post(url, json=BODY)).status_code == 200

        async def fresh() -> bool:
            return await asyncio.to_thread(_ask_once, process.ports["http"]) == 200

        async def call() -> bool:
            return bool((await stub.ModelInfer(message(raw=True))).outputs)

        callers = {"kept": kept, "fresh": fresh, "grpc": call}
        workers = [asyncio.create_task(_work(name, caller, tally, stop)) for name, caller in callers.items()]
        await asyncio.wait_for(tally.under_way.wait(), 10)
        process.terminate()
        while (await client.get(process.url("metrics") + "/readyz")).status_code != 503:
            pass
        process.terminate()
        # A gateway follows readiness within a second; until then it sends as before.
        await asyncio.sleep(1)
        stop.set()
        await asyncio.gather(*workers)
    return tally


async def _work(name: str, caller: Callable[[], Coroutine[Any, Any, bool]], tally: Tally, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            if not await caller():
                tally.failures.append(name)
        except (httpx.HTTPError, grpc.aio.AioRpcError, OSError, AssertionError) as error:
            tally.failures.append(f"{name}: {error!r}")
        tally.count(name)


async def test_statistics_tell_in_few_bytes_what_metrics_tell_in_many(server: ServingProcess, stub: Any) -> None:
    async with httpx.AsyncClient() as client:
        before = (await client.get(server.url("metrics") + "/stats")).json()
        for _ in range(3):
            await client.post(server.url("http") + INFER, json=BODY, headers={"x-loadline-arm": "canary"})
        await stub.ModelInfer(message(raw=True), metadata=(("x-loadline-arm", "canary"),))
        answer = await client.get(server.url("metrics") + "/stats")
    after = answer.json()
    assert len(answer.content) < 2000
    assert (after["model"], after["version"], after["revision"], after["state"]) == ("m", "3", "abc", "ready")
    assert after["rows"] - before["rows"] == 4
    assert after["busy_seconds"] > before["busy_seconds"]
    assert (after["in_flight"], after["rows_inside"]) == (0, 0)
    assert _counted(after["requests"]["canary"]) - _counted(before["requests"].get("canary", {})) == 4
    for code, seconds in after["seconds"]["canary"].items():
        assert _counted(seconds["buckets"]) == after["requests"]["canary"][code]
        assert all(0 <= int(edge) <= len(SERVING_LATENCY_EDGES) for edge in seconds["buckets"])


def _counted(counts: dict[str, int]) -> int:
    return sum(counts.values())


@pytest.mark.parametrize("package", ["loadline_serving.entry", "loadline_operators.__main__"])
def test_a_signal_to_stop_is_heard_before_anything_that_takes_long_is_imported(package: str) -> None:
    source = find_spec(package)
    assert source is not None
    assert source.origin is not None
    statements = ast.parse(Path(source.origin).read_text()).body
    imported = [name.name for each in statements if isinstance(each, ast.Import) for name in each.names]
    before = next(
        (number for number, each in enumerate(statements) if "signal.signal" in ast.unparse(each)), len(statements)
    )
    late = [each for each in statements[:before] if isinstance(each, ast.ImportFrom) and each.module != "typing"]
    assert "signal" in imported
    assert set(imported) <= {"os", "signal"}
    assert late == []
    assert before < len(statements)
