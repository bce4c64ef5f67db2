"""Does an ONNX file become a warm model, and does every bad one say what is wrong with it?"""

from pathlib import Path

import numpy as np
import pytest
from loadline_contracts.conditions import Reason
from loadline_serving.errors import InferenceFailedError, StartupFault
from loadline_serving.session import OnnxModel, RuntimeOptions, load
from loadline_serving.settings import GraphOptimization
from loadline_serving.warm_up import warm_up
from support import serving_graphs

FOREIGN = serving_graphs.with_unknown_operator("com.acme")
UNHEARD_OF = serving_graphs.with_unknown_operator("")


def load_bytes(folder: Path, data: bytes) -> OnnxModel:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return load(path, RuntimeOptions())


@pytest.mark.parametrize("datatype", serving_graphs.ELEMENTS)
def test_every_shared_datatype_is_loaded_and_warmed(tmp_path: Path, datatype: str) -> None:
    model = load_bytes(tmp_path, serving_graphs.identity(datatype))
    warm_up(model)
    assert model.signature.inputs["x"].datatype.name == datatype
    assert model.signature.inputs["x"].shape == (-1, -1)


@pytest.mark.parametrize("level", GraphOptimization)
def test_every_level_of_graph_optimisation_gives_the_same_answer(tmp_path: Path, level: GraphOptimization) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(serving_graphs.classifier())
    model = load(path, RuntimeOptions(threads=2, graph_optimization=level))
    [scores] = model.run(("scores",), {"x": np.ones((1, 4), np.float32)})
    np.testing.assert_allclose(scores, [[1.8, 2.2, 2.6]], rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"PK\x03\x04 this is a zip file", Reason.NOT_ONNX, "not an ONNX model"),
        (b"", Reason.NOT_ONNX, "not an ONNX model"),
        (serving_graphs.classifier()[:-40], Reason.NOT_ONNX, "cut short"),
        (FOREIGN, Reason.UNSUPPORTED_OPERATOR, "Teleport of domain 'com.acme'"),
        (UNHEARD_OF, Reason.UNSUPPORTED_OPERATOR, "Teleport of domain 'ai.onnx', opset 17"),
    ],
    ids=["another format", "empty", "truncated", "operator of a foreign domain", "operator that never was"],
)  # fmt: skip
def test_a_file_that_cannot_be_loaded_says_why(tmp_path: Path, data: bytes, reason: Reason, words: str) -> None:
    with pytest.raises(StartupFault, match=words) as caught:
        load_bytes(tmp_path, data)
    assert caught.value.reason is reason


def test_a_missing_file_is_a_load_failure(tmp_path: Path) -> None:
    with pytest.raises(StartupFault) as caught:
        load(tmp_path / "nowhere.onnx", RuntimeOptions())
    assert caught.value.reason is Reason.MODEL_LOAD_FAILED


def test_a_model_that_fails_on_every_input_fails_its_warm_up(tmp_path: Path) -> None:
    with pytest.raises(StartupFault, match="made-up inputs") as caught:
        warm_up(load_bytes(tmp_path, serving_graphs.never_runs()))
    assert caught.value.reason is Reason.WARMUP_FAILED


@pytest.mark.parametrize("kernel", [1, 3, 20])
def test_a_model_of_pictures_of_any_size_is_warmed_on_one_that_is_large_enough(tmp_path: Path, kernel: int) -> None:
    warm_up(load_bytes(tmp_path, serving_graphs.picture(kernel)))


def test_a_model_that_raises_at_run_time_raises_a_request_error(tmp_path: Path) -> None:
    model = load_bytes(tmp_path, serving_graphs.raises_on_large_index())
    with pytest.raises(InferenceFailedError, match="Gather"):
        model.run(("y",), {"index": np.array([7])})


def test_the_maps_of_scikit_learn_become_a_table(tmp_path: Path) -> None:
    model = load_bytes(tmp_path, serving_graphs.with_zipmap())
    rows = np.array([[0.25, 0.75], [1, 0]], np.float32)
    label, probabilities = model.run(("label", "probabilities"), {"x": rows})
    np.testing.assert_array_equal(label, [20, 10])
    np.testing.assert_array_equal(probabilities, rows)
    assert model.signature.outputs["probabilities"].datatype.name == "FP32"


def test_no_rows_are_an_empty_table(tmp_path: Path) -> None:
    model = load_bytes(tmp_path, serving_graphs.with_zipmap())
    [probabilities] = model.run(("probabilities",), {"x": np.empty((0, 2), np.float32)})
    assert len(probabilities) == 0


def test_an_output_without_a_form_in_the_protocol_is_known_as_such(tmp_path: Path) -> None:
    model = load_bytes(tmp_path, serving_graphs.with_sequence_output())
    warm_up(model)
    assert model.signature.untransferable == {"parts": "seq(tensor(float))"}
