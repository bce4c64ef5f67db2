"""Does the runtime alone find what people log with plain MLflow?"""

from pathlib import Path

import httpx
import pytest
from support.alone_process import ANY_PORTS, alone, run_to_end
from support.mlflow_server import LocalMlflow


@pytest.mark.parametrize(("model", "width"), [("plain", 4), ("external", 64)])
def test_a_registered_version_is_served(registry: LocalMlflow, tmp_path: Path, model: str, width: int) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, width], "data": [1] * width}]}
    with alone(tmp_path, f"models:/{model}/1", MLFLOW_TRACKING_URI=registry.url) as process:
        answer = httpx.post(process.urls()["HTTP"], json=body)
    assert answer.json()["outputs"][0]["shape"] == [1, width]


def test_a_pickled_model_names_its_flavours(registry: LocalMlflow, tmp_path: Path) -> None:
    ended = run_to_end(tmp_path, "models:/pickled/1", *ANY_PORTS, MLFLOW_TRACKING_URI=registry.url)
    assert ended.code == 1
    assert "has no ONNX flavour; its MLmodel lists python_function, sklearn" in ended.errors
