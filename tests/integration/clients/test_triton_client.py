"""Does a client that other people wrote for V2 work unmodified, over HTTP and gRPC?"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import serving_graphs
from support.model_folders import put_in_pod
from support.serving_process import serving

ROOT = Path(__file__).resolve().parents[3]
PYTHON = Path(os.environ.get("LOADLINE_CLIENTS_PYTHON", ROOT / ".venv-clients" / "bin" / "python"))
"""`make clients` makes it: the client wants another protobuf than ours."""
ANSWER = {
    "id": "7",
    "age": [[2**53 + 1], [-1]],
    "small": [[0], [255]],
    "name": [["é"], [""]],
    "member": [[True], [False]],
    "risk": [[0.5], [-2]],
    "share": [[0.5], [65504]],
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client got from a server of every kind of column."""
    assert PYTHON.exists(), f"there is no {PYTHON}; run: make clients"
    folder = tmp_path_factory.mktemp("pod")
    put_in_pod(folder, {"model.onnx": serving_graphs.columns()})
    with serving(folder) as process:
        process.wait_until_ready()
        script = ROOT / "tests" / "support" / "triton_clients.py"
        said = subprocess.run(
            [PYTHON, script, process.url("http").removeprefix("http://"), process.grpc],
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert said.returncode == 0, said.stderr
    answer: dict[str, Any] = json.loads(said.stdout)
    return answer


@pytest.mark.parametrize(("protocol", "way"), [("http", "bytes"), ("http", "json"), ("grpc", "raw")])
def test_every_kind_of_value_comes_back_as_it_was_sent(told: dict[str, Any], protocol: str, way: str) -> None:
    assert told[protocol][way] == ANSWER


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_health_and_metadata_are_understood(told: dict[str, Any], protocol: str) -> None:
    said = told[protocol]
    assert [said[question] for question in ("live", "ready", "model ready")] == [True, True, True]
    assert said["model"]["name"] == "m"
    assert [tensor["datatype"] for tensor in said["model"]["inputs"]] == [
        "INT64", "UINT8", "BYTES", "BOOL", "FP32", "FP16"
    ]  # fmt: skip


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_refusal_reaches_the_caller_in_words(told: dict[str, Any], protocol: str) -> None:
    assert told[protocol]["refusal"] == "input 'age' has shape [1]; the model expects [-1, 1] (-1: any length)"


def test_extensions_are_announced_and_answer(told: dict[str, Any]) -> None:
    said = told["http"]
    assert said["server"]["extensions"] == ["binary_tensor_data", "model_repository", "statistics"]
    assert said["index"] == [{"name": "m", "version": "3", "state": "READY", "reason": ""}]
    [statistics] = said["statistics"]["model_stats"]
    parts = statistics["inference_stats"]
    assert (parts["success"]["count"], parts["fail"]["count"]) == (2, 1)
