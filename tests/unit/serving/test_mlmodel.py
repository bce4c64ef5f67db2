"""Is the ONNX file found in whatever MLmodel MLflow writes?"""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from loadline_contracts.conditions import Reason
from loadline_serving.errors import StartupFault
from loadline_serving.mlmodel import onnx_entry

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=30)


@given(NAMES, st.dictionaries(st.sampled_from(["code", "onnx_version", "providers"]), NAMES))
def test_the_file_is_found_as_a_yaml_library_wrote_it(name: str, others: dict[str, str]) -> None:
    described = {
        "artifact_path": "model",
        "flavors": {"onnx": {**others, "data": name, "providers": ["CPU"]}, "python_function": {"data": "other"}},
        "signature": {"inputs": "[]", "onnx": {"data": "not this"}},
        "data": "nor this",
    }
    assert onnx_entry(yaml.safe_dump(described, width=1000), "m") == name


def test_the_flavours_that_are_there_instead_are_named() -> None:
    description = yaml.safe_dump({"flavors": {"sklearn": {"data": "model.pkl"}, "python_function": {}}})
    with pytest.raises(
        StartupFault, match="m has no ONNX flavour; its MLmodel lists python_function, sklearn"
    ) as caught:
        onnx_entry(description, "m")
    assert caught.value.reason is Reason.NOT_SERVABLE


@pytest.mark.parametrize(
    "description", ["flavors:\n  onnx: {data: model.onnx}\n", "flavors:\n  onnx:\n    code: null\n"]
)
def test_what_is_not_written_as_mlflow_does_is_refused(description: str) -> None:
    with pytest.raises(StartupFault, match="names no file as the data of its ONNX flavour, or not as MLflow writes it"):
        onnx_entry(description, "m")


def test_what_is_no_mlmodel_lists_nothing() -> None:
    with pytest.raises(StartupFault, match="lists none"):
        onnx_entry("<html>", "m")
