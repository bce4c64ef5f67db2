"""Where do the names of a table's columns come from?"""

import json
from pathlib import Path

import pytest
from loadline_serving import columns
from support.signatures import signature

TABLE = signature({"x": ("FP32", (-1, 2))}, {})
# As MLflow writes it: JSON in a folded, single-quoted text of YAML.
MLMODEL = """\
flavors:
  onnx:
    data: model.onnx
signature:
  inputs: '[{"type": "double", "name": "patient''s age", "required": true}, {"type":
    "double", "name": "income", "required": true}]'
  outputs: '[{"type": "tensor"}]'
  params: null
"""


def test_the_models_own_metadata_names_them(tmp_path: Path) -> None:
    assert columns.names({"feature_names": '["age", "income"]'}, tmp_path, TABLE) == ("age", "income")


def test_mlflows_signature_beside_the_model_names_them(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(MLMODEL)
    assert columns.names({}, tmp_path, TABLE) == ("patient's age", "income")


@pytest.mark.parametrize(
    "given",
    ["", "[", "3", "[1, 2]", '["age"]', '["age", "age"]', '[{"type": "tensor"}]', '["a", "b", "c"]', "[" * 9999],
)
def test_what_does_not_fit_the_input_names_nothing(tmp_path: Path, given: str) -> None:
    assert columns.names({"feature_names": given}, tmp_path, TABLE) == ()


def test_a_model_that_is_no_table_has_no_columns(tmp_path: Path) -> None:
    picture = signature({"x": ("FP32", (-1, 3, 8, 8))}, {})
    assert columns.names({"feature_names": json.dumps(["a"])}, tmp_path, picture) == ()
