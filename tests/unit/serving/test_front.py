"""Does every HTTP request get the right status, in one form of error?"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loadline_serving.lifecycle import Lifecycle, State
from support import serving_graphs
from support.serving_world import World, serving_world

LIMIT = 2000
INFER = "/v2/models/m/infer"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving_world(tmp_path, max_bytes=LIMIT) as found:
        yield found


@pytest.fixture
def classifier(world: World) -> World:
    world.serve(serving_graphs.classifier())
    return world


def request(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 1, 1, 1]} | changes
    return {"id": "a", "inputs": [tensor]}


@pytest.mark.parametrize("path", [INFER, "/v2/models/m/versions/3/infer"])
async def test_a_request_in_json_is_answered_in_json(classifier: World, path: str) -> None:
    answer = await classifier.client.post(path, json=request())
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("m", "3", "a")
    assert body["outputs"][0]["shape"] == [1, 3]
    np.testing.assert_allclose(body["outputs"][0]["data"], [1.8, 2.2, 2.6], rtol=1e-6)


async def test_a_request_in_bytes_is_answered_in_bytes(classifier: World) -> None:
    message = request(parameters={"binary_data_size": 16}) | {"parameters": {"binary_data_output": True}}
    del message["inputs"][0]["data"]
    head = json.dumps(message).encode()
    answer = await classifier.client.post(
        INFER,
        content=head + np.ones(4, "<f4").tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 12}
    np.testing.assert_allclose(np.frombuffer(answer.content[length:], "<f4"), [1.8, 2.2, 2.6], rtol=1e-6)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ((INFER, b"{", {}), 400, "not JSON"),
        ((INFER, b"{}", {}), 400, "missing input 'x'"),
        ((INFER, b"{}", {"Inference-Header-Content-Length": "9"}), 400, "only 2 bytes"),
        ((INFER, b" " * (LIMIT + 1), {}), 413, f"larger than {LIMIT} bytes"),
        ((INFER, b"\x1f\x8b", {"Content-Encoding": "gzip"}), 415, "uncompressed"),
        (("/v2/models/other/infer", b"{}", {}), 404, "no model 'other' here; this server has 'm'"),
        (("/v2/models/m/versions/4/infer", b"{}", {}), 404, "no version '4'"),
        (("/v2/nowhere", b"", {}), 404, "POST /v2/nowhere"),
        (("/v2/health/live", b"", {}), 405, "Method Not Allowed"),
    ],
)  # fmt: skip
async def test_every_fault_of_the_caller_has_its_status(
    classifier: World, sent: tuple[str, bytes, dict[str, str]], status: int, words: str
) -> None:
    path, content, headers = sent
    answer = await classifier.client.post(path, content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert list(answer.json()) == ["error"]


async def test_a_model_that_raises_is_the_servers_fault(world: World) -> None:
    world.serve(serving_graphs.raises_on_large_index())
    tensor = {"name": "index", "datatype": "INT64", "shape": [1], "data": [7]}
    answer = await world.client.post(INFER, json={"inputs": [tensor]})
    assert answer.status_code == 500
    assert "the model failed on this input" in answer.json()["error"]


async def test_an_output_without_a_form_is_not_implemented_and_the_others_are_answered(world: World) -> None:
    world.serve(serving_graphs.with_sequence_output())
    message: dict[str, Any] = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [7]}]}
    everything = await world.client.post(INFER, json=message)
    assert everything.status_code == 501
    assert "output 'parts' is of ONNX type seq(tensor(float))" in everything.json()["error"]
    one = await world.client.post(INFER, json=message | {"outputs": [{"name": "y"}]})
    assert one.json()["outputs"][0]["data"] == [7]


async def test_scikit_learns_maps_are_answered_as_a_table(world: World) -> None:
    world.serve(serving_graphs.with_zipmap())
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [[0.25, 0.75], [1, 0]]}
    answer = await world.client.post(INFER, json={"inputs": [tensor]})
    assert [output["data"] for output in answer.json()["outputs"]] == [[1, 0], [0.25, 0.75, 1, 0]]


@pytest.mark.parametrize("path", [INFER, "/v2/health/ready", "/v2/models/m/ready", "/v2/models/m"])
async def test_before_the_model_is_there_the_server_is_not_ready(world: World, path: str) -> None:
    answer = await world.client.request("POST" if path == INFER else "GET", path)
    assert answer.status_code == 503


async def test_metadata_names_the_model_its_tensors_and_the_extensions(classifier: World) -> None:
    get = classifier.client.get
    assert (await get("/v2")).json()["extensions"] == ["binary_tensor_data"]
    assert (await get("/v2/models")).json() == {"models": ["m"]}
    assert (await get("/v2/health/live")).json() == {"live": True}
    assert (await get("/v2/models/m/versions/3/ready")).json() == {"name": "m", "ready": True}
    assert (await get("/v2/models/m")).json() == {
        "name": "m",
        "versions": ["3"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 3]}],
    }
    assert (await get("/openapi.json")).status_code == 200


async def test_while_draining_requests_are_answered_and_connections_closed(classifier: World) -> None:
    classifier.lifecycle.state = State.DRAINING
    answer = await classifier.client.post(INFER, json=request())
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    ready = await classifier.client.get("/v2/health/ready")
    assert ready.status_code == 503
    assert ready.headers["connection"] == "close"


async def test_requests_are_counted_by_arm_and_status(classifier: World) -> None:
    for arm in ("canary", "canary", "anything"):
        await classifier.client.post(INFER, json=request(), headers={"x-loadline-arm": arm})
    await classifier.client.post(INFER, content=b"{", headers={"x-loadline-arm": "stable"})
    assert classifier.recorder.requests == {
        ("canary", 200, "http"): 2,
        ("none", 200, "http"): 1,
        ("stable", 400, "http"): 1,
    }
    assert sum(classifier.recorder.latencies["canary"].counts) == 2


async def test_quiet_is_counted_from_the_last_request_and_ends_with_the_grace_period() -> None:
    lifecycle = Lifecycle()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    again = loop.call_later(1, lifecycle.touch)
    assert await lifecycle.quiet(quiet_seconds=0, grace_seconds=60)
    assert loop.time() - begun >= 2.9
    again.cancel()
    assert not await lifecycle.quiet(quiet_seconds=60, grace_seconds=0.1)
