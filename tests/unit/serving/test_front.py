"""Does every HTTP request get the right status, in one form of error?"""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
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
    assert [output["data"] for output in answer.json()["outputs"]] == [[20, 10], [0.25, 0.75, 1, 0]]


@pytest.mark.parametrize("path", [INFER, "/v2/health/ready", "/v2/models/m/ready", "/v2/models/m"])
async def test_before_the_model_is_there_the_server_is_not_ready(world: World, path: str) -> None:
    answer = await world.client.request("POST" if path == INFER else "GET", path)
    assert answer.status_code == 503


async def test_metadata_names_the_model_its_tensors_and_the_extensions(classifier: World) -> None:
    get = classifier.client.get
    assert (await get("/v2")).json()["extensions"] == ["binary_tensor_data", "model_repository", "statistics"]
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


V1 = "/v1/models/m:predict"
ROW = {"rows": [{"x0": 1, "x1": 0, "x2": 0, "x3": 0}]}


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (V1, {"instances": [[1, 0, 0, 0]]}, {"predictions": [[0, 0.1, 0.2]]}),
        (V1, {"inputs": [[1, 0, 0, 0]]}, {"outputs": [[0, 0.1, 0.2]]}),
        ("/predict", ROW | {"id": "a"},
         {"model": "m", "version": "3", "id": "a", "outputs": {"scores": [[0, 0.1, 0.2]]}}),
    ],
)  # fmt: skip
async def test_the_other_protocols_reach_the_same_model(
    classifier: World, path: str, body: dict[str, Any], answer: dict[str, Any]
) -> None:
    said = await classifier.client.post(path, json=body, headers={"x-loadline-arm": "canary"})
    assert said.status_code == 200
    assert said.json() == answer
    assert classifier.recorder.requests == {("canary", 200, "http"): 1}


@pytest.mark.parametrize("path", [V1, "/predict"])
@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        ((b"{", {}), 400, "not JSON"),
        ((b"[]", {}), 400, "not an object"),
        ((b"{}", {}), 400, "one of them; it has none"),
        ((b" " * (LIMIT + 1), {}), 413, f"larger than {LIMIT} bytes"),
        ((b"{}", {"Content-Encoding": "gzip"}), 415, "uncompressed"),
    ],
)
async def test_the_other_protocols_refuse_in_the_one_form(
    classifier: World, path: str, sent: tuple[bytes, dict[str, str]], status: int, words: str
) -> None:
    content, headers = sent
    answer = await classifier.client.post(path, content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert classifier.recorder.requests == {("none", status, "http"): 1}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", INFER, "POST"),
        ("GET", V1, "POST"),
        ("PUT", "/predict", "POST"),
        ("DELETE", "/v2/models/m", "GET"),
        ("POST", "/v2/models/m/stats", "GET"),
        ("GET", "/v2/repository/index", "POST"),
    ],
)
async def test_another_method_is_refused_with_those_that_are_allowed(
    classifier: World, method: str, path: str, allowed: str
) -> None:
    answer = await classifier.client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json() == {"error": f"Method Not Allowed: {method} {path}"}


@pytest.mark.parametrize(
    "path", ["/v1/models/other:predict", "/v2/models/other/infer", "/v2/models/m/versions/4/infer"]
)
async def test_another_models_path_names_what_is_here(classifier: World, path: str) -> None:
    answer = await classifier.client.post(path, json={})
    assert answer.status_code == 404
    assert "this server has" in answer.json()["error"]


async def test_v1_lists_the_model_and_whether_it_is_ready(classifier: World) -> None:
    assert (await classifier.client.get("/v1/models")).json() == {"models": ["m"]}
    assert (await classifier.client.get("/v1/models/m")).json() == {"name": "m", "ready": True}
    classifier.lifecycle.state = State.DRAINING
    answer = await classifier.client.get("/v1/models/m")
    assert (answer.status_code, answer.json()) == (503, {"name": "m", "ready": False})


async def test_the_repositorys_index_holds_the_model_and_its_state(world: World) -> None:
    ask = world.client.post
    loading = {"name": "m", "version": "3", "state": "UNAVAILABLE", "reason": "loading"}
    assert (await ask("/v2/repository/index")).json() == [loading]
    assert (await ask("/v2/repository/index", json={"ready": True})).json() == []
    world.serve(serving_graphs.classifier())
    ready = [{"name": "m", "version": "3", "state": "READY", "reason": ""}]
    assert (await ask("/v2/repository/index", json={"ready": True})).json() == ready
    assert (await ask("/v2/repository/index", json={})).json() == ready
    for wrong in (b"[", b"[]", b'{"ready": 1}'):
        assert (await ask("/v2/repository/index", content=wrong)).status_code == 400


@pytest.mark.parametrize("path", ["/v2/models/stats", "/v2/models/m/stats", "/v2/models/m/versions/3/stats"])
async def test_statistics_tell_successes_from_failures(classifier: World, path: str) -> None:
    before = time() * 1000 - 1
    for content in (json.dumps(request()), json.dumps(request()), "{"):
        await classifier.client.post(INFER, content=content)
    [stats] = (await classifier.client.get(path)).json()["model_stats"]
    assert (stats["name"], stats["version"]) == ("m", "3")
    assert (stats["inference_count"], stats["execution_count"]) == (2, 2)
    parts = stats["inference_stats"]
    assert (parts["success"]["count"], parts["fail"]["count"]) == (2, 1)
    assert parts["success"]["ns"] > 0
    assert parts["fail"]["ns"] > 0
    assert parts["cache_hit"] == {"count": 0, "ns": 0}
    assert stats["last_inference"] >= before


async def test_another_models_statistics_are_not_here(classifier: World) -> None:
    assert (await classifier.client.get("/v2/models/other/stats")).status_code == 404


async def test_the_documentation_needs_nothing_from_the_internet(classifier: World) -> None:
    page = (await classifier.client.get("/docs")).text
    assert not re.findall(r'(?:src|href)="(?!/)', page)
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (await classifier.client.get(asset)).status_code == 200


async def test_every_path_that_is_described_answers_and_every_example_is_right(classifier: World) -> None:
    paths = (await classifier.client.get("/openapi.json")).json()["paths"]
    assert {"/predict", V1, INFER, "/v2/models/m/stats", "/v2/repository/index"} <= paths.keys()
    for path, methods in paths.items():
        for method, described in methods.items():
            content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
            example = content.get("schema", {}).get("example")
            answer = await classifier.client.request(method, path, json=example)
            assert answer.status_code == 200, (method, path, answer.text)


async def test_the_model_is_described_once_it_is_there(world: World) -> None:
    assert "/predict" not in (await world.client.get("/openapi.json")).json()["paths"]
    world.serve(serving_graphs.classifier())
    body = (await world.client.get("/openapi.json")).json()["paths"]["/predict"]["post"]["requestBody"]
    [by_row, *_] = body["content"]["application/json"]["schema"]["oneOf"]
    assert list(by_row["properties"]["rows"]["items"]["properties"]) == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("labels", [[10, 20], ["no", "yes"]], ids=["whole numbers", "texts"])
async def test_scikit_learns_labels_are_answered_in_every_protocol(world: World, labels: list[Any]) -> None:
    world.serve(serving_graphs.with_zipmap(labels))
    datatype = "BYTES" if isinstance(labels[0], str) else "INT64"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75]}
    [label, scores] = (await world.client.post(INFER, json={"inputs": [tensor]})).json()["outputs"]
    assert (label["datatype"], label["data"]) == (datatype, [labels[1]])
    assert (scores["datatype"], scores["shape"], scores["data"]) == ("FP32", [1, 2], [0.25, 0.75])
    table = (await world.client.post("/predict", json={"rows": [{"x0": 0.25, "x1": 0.75}]})).json()
    assert table["outputs"] == {"label": [labels[1]], "probabilities": [[0.25, 0.75]]}
    rows = (await world.client.post(V1, json={"instances": [[0.25, 0.75]]})).json()
    assert rows == {"predictions": [{"label": labels[1], "probabilities": [0.25, 0.75]}]}


async def test_half_floats_have_json_in_a_table_and_none_in_v2(world: World) -> None:
    world.serve(serving_graphs.identity("FP16"))
    tensor = {"name": "x", "datatype": "FP16", "shape": [1, 2], "data": [0.5, 2]}
    refused = await world.client.post(INFER, json={"inputs": [tensor]})
    assert refused.status_code == 400
    assert "FP16, which has no JSON form; send it as binary data" in refused.json()["error"]
    answer = await world.client.post("/predict", json={"inputs": {"x": [[0.5, 2]]}})
    assert answer.json()["outputs"] == {"y": [[0.5, 2]]}


async def test_what_json_has_no_number_for_is_null_in_an_answer(world: World) -> None:
    world.serve(serving_graphs.identity("FP64"))
    values = np.array([np.nan, -np.inf], "<f8").tobytes()
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 2], "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = await world.client.post(
        INFER, content=head + values, headers={"Inference-Header-Content-Length": str(len(head))}
    )
    assert answer.json()["outputs"][0]["data"] == [None, None]


async def test_unknown_parameters_are_passed_over_and_those_of_other_extensions_refused(classifier: World) -> None:
    message = request(parameters={"mine": 1}) | {"parameters": {"theirs": "x"}}
    message["outputs"] = [{"name": "scores", "parameters": {"whose": True}}]
    assert (await classifier.client.post(INFER, json=message)).status_code == 200
    for wrong in (
        request(parameters={"shared_memory_region": "r"}),
        request() | {"outputs": [{"name": "scores", "parameters": {"classification": 2}}]},
    ):
        answer = await classifier.client.post(INFER, json=wrong)
        assert answer.status_code == 400
        assert "extension, which this server does not have" in answer.json()["error"]


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
    assert sum(classifier.recorder.latencies["canary", 200].counts) == 2


async def test_quiet_is_counted_from_the_last_request_and_ends_with_the_grace_period() -> None:
    lifecycle = Lifecycle()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    again = loop.call_later(1, lifecycle.touch)
    assert await lifecycle.quiet(quiet_seconds=0, grace_seconds=60)
    assert loop.time() - begun >= 2.9
    again.cancel()
    assert not await lifecycle.quiet(quiet_seconds=60, grace_seconds=0.1)


async def test_time_in_which_the_machine_kept_the_event_loop_from_turning_was_not_quiet() -> None:
    lifecycle = Lifecycle()
    loop = asyncio.get_running_loop()
    stall = 3.0
    ended: list[float] = []

    def hold_up() -> None:
        threading.Event().wait(stall)
        ended.append(loop.time())

    loop.call_later(0.2, hold_up)
    assert await lifecycle.quiet(quiet_seconds=2, grace_seconds=60)
    assert loop.time() - ended[0] >= 1.5


@pytest.mark.parametrize(
    ("original", "before"),
    [("/demo/digits/docs", "/demo/digits"), ("/docs", ""), ('/"><script>/docs', ""), ("/elsewhere", "/elsewhere")],
)
async def test_the_pages_of_the_documentation_are_found_behind_the_gateways_path(
    classifier: World, original: str, before: str
) -> None:
    page = await classifier.client.get("/docs", headers={"x-envoy-original-path": original})
    assert f"'{before}/openapi.json'" in page.text
    assert f'"{before}/static-offline-docs/swagger-ui-bundle.js"' in page.text
    assert (await classifier.client.get("/openapi.json")).json()["servers"] == [{"url": "."}]
    script = "/static-offline-docs/swagger-ui-bundle.js"
    found = await classifier.client.get(script, headers={"x-envoy-original-path": before + script})
    assert found.status_code == 200
    assert found.headers["content-type"].startswith("text/javascript")
