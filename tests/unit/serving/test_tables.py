"""Do named columns become the model's inputs, and does every wrong one say which, where and what was expected?"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loadline_serving.datatypes import DATATYPES
from loadline_serving.errors import BadRequestError
from loadline_serving.protocol import tables
from loadline_serving.signature import Signature
from support.signatures import IDENTITY, Shapes, signature
from support.tensor_strategies import tensors

A_FEW = settings(max_examples=20, deadline=None)
OUT: Shapes = {"y": ("FP32", (-1,))}
MATRIX = replace(signature({"x": ("FP32", (-1, 2))}, OUT), columns=("age", "income"))
NAMELESS = signature({"float_input": ("FP64", (-1, 2))}, OUT)
COLUMNS = signature({"age": ("INT64", (-1, 1)), "name": ("BYTES", (-1,)), "risk": ("FP16", (-1, 1))}, OUT)
PICTURE = signature({"x": ("FP32", (-1, 1, 2, 2))}, OUT)
FIXED = signature({"x": ("FP32", (2, 2))}, OUT)


def feeds(of: Signature, message: object) -> dict[str, Any]:
    read = tables.Reader(of, IDENTITY).read(json.dumps(message).encode()).request.feeds
    return {name: tensor.tolist() for name, tensor in read.items()}


@pytest.mark.parametrize(
    ("of", "message", "read"),
    [
        (MATRIX, {"rows": [{"age": 1, "income": 2.5}, {"income": 4, "age": 3}]}, {"x": [[1, 2.5], [3, 4]]}),
        (MATRIX, {"columns": {"income": [2, 4], "age": [1, 3]}}, {"x": [[1, 2], [3, 4]]}),
        (MATRIX, {"inputs": {"x": [[1, 2]]}}, {"x": [[1, 2]]}),
        (NAMELESS, {"rows": [{"x0": 1, "x1": 2}]}, {"float_input": [[1, 2]]}),
        (COLUMNS, {"rows": [{"age": 3, "name": "é", "risk": 0.5}]}, {"age": [[3]], "name": ["é"], "risk": [[0.5]]}),
        (COLUMNS, {"columns": {"age": [3], "name": ["a"], "risk": [1]}}, {"age": [[3]], "name": ["a"], "risk": [[1]]}),
        (COLUMNS, {"columns": {"age": [2**63 - 1], "name": [""], "risk": [0]}},
         {"age": [[2**63 - 1]], "name": [""], "risk": [[0]]}),
        (PICTURE, {"inputs": {"x": [[[[1, 2], [3, 4]]]]}}, {"x": [[[[1, 2], [3, 4]]]]}),
        (FIXED, {"columns": {"x0": [1, 2], "x1": [3, 4]}}, {"x": [[1, 3], [2, 4]]}),
    ],
)  # fmt: skip
def test_rows_columns_and_tensors_become_the_models_inputs(
    of: Signature, message: object, read: dict[str, Any]
) -> None:
    assert feeds(of, message) == read


def test_null_is_a_missing_number() -> None:
    np.testing.assert_array_equal(feeds(MATRIX, {"rows": [{"age": None, "income": 2}]})["x"], [[np.nan, 2]])
    np.testing.assert_array_equal(feeds(MATRIX, {"columns": {"age": [1, None], "income": [2, 3]}})["x"][1], [np.nan, 3])


@pytest.mark.parametrize(
    ("of", "message", "complaint"),
    [
        (MATRIX, {}, "needs 'rows' or 'columns' or 'inputs'"),
        (MATRIX, {"rows": [], "columns": {}}, "it has rows, columns"),
        (MATRIX, {"rows": []}, "one object for each row"),
        (MATRIX, {"rows": {}}, "one object for each row"),
        (MATRIX, {"rows": [[1, 2]]}, "row 0 is not an object with the columns 'age', 'income'"),
        (MATRIX, {"rows": [{"age": 1, "income": 2}, {"age": 1}]}, "row 1 lacks 'income'; the model's columns are"),
        (MATRIX, {"rows": [{"age": 1, "incom": 2}]}, "row 0 lacks 'income' and has the unknown 'incom'"),
        (MATRIX, {"rows": [{"age": 1, "income": 2, "z": 1}]}, "row 0 has the unknown 'z'"),
        (MATRIX, {"rows": [{"age": 1, "income": 2}, {"age": 1, "income": "2"}]},
         "column 'income' has '2' in row 1; the model expects FP32"),
        (MATRIX, {"rows": [{"age": 1e39, "income": 2}]}, r"column 'age' has 1e\+39 in row 0"),
        (MATRIX, {"rows": [{"age": True, "income": 2}]}, "column 'age' has True in row 0"),
        (MATRIX, {"rows": [{"age": [1], "income": 2}]}, r"column 'age' has \[1\] in row 0"),
        (MATRIX, {"columns": {"age": [1]}}, "'columns' lacks 'income'"),
        (MATRIX, {"columns": {"age": [1], "income": [1, 2]}}, "column 'income' has 2 values, column 'age' 1"),
        (MATRIX, {"columns": {"age": [], "income": []}}, "column 'age' is not a list"),
        (MATRIX, {"columns": {"age": 1, "income": 2}}, "column 'age' is not a list"),
        (MATRIX, {"columns": [1]}, "'columns' is not an object"),
        (MATRIX, {"rows": [{"age": 1, "income": 2}], "id": 7}, "'id' is not a string"),
        (MATRIX, {"rows": [{"age": 1, "income": 2}], "outputs": "y"}, "'outputs' is not a list"),
        (MATRIX, {"rows": [{"age": 1, "income": 2}], "outputs": ["z"]}, "no output 'z'; it has 'y'"),
        (MATRIX, {"rows": [{"age": 1, "income": 2}], "more": 1}, "unknown key 'more'; known are rows, columns"),
        (COLUMNS, {"rows": [{"age": 1.5, "name": "a", "risk": 1}]}, "column 'age' has 1.5 in row 0.*INT64"),
        (COLUMNS, {"rows": [{"age": None, "name": "a", "risk": 1}]}, "column 'age' has None in row 0.*INT64"),
        (COLUMNS, {"rows": [{"age": 2**63, "name": "a", "risk": 1}]}, "column 'age' has 9223372036854775808"),
        (COLUMNS, {"rows": [{"age": 1, "name": 2, "risk": 1}]}, "column 'name' has 2 in row 0.*BYTES"),
        (COLUMNS, {"rows": [{"age": 1, "name": "a", "risk": 70000}]}, "column 'risk' has 70000 in row 0.*FP16"),
        (PICTURE, {"rows": [{"x": 1}]}, "takes no table; send 'inputs' with a tensor for each of 'x'"),
        (PICTURE, {"inputs": [1]}, "'inputs' is not an object with a tensor for each of 'x'"),
        (PICTURE, {"inputs": {}}, "missing input 'x'"),
        (PICTURE, {"inputs": {"x": [[[[1, 2], [3]]]]}}, "input 'x' has nested data"),
        (FIXED, {"columns": {"x0": [1], "x1": [3]}}, r"input 'x' has shape \[1, 2\]; the model expects \[2, 2\]"),
    ],
)  # fmt: skip
def test_a_wrong_message_is_refused_in_words(of: Signature, message: object, complaint: str) -> None:
    with pytest.raises(BadRequestError, match=complaint):
        feeds(of, message)


@pytest.mark.parametrize("datatype", DATATYPES)
@A_FEW
@given(data=st.data(), by_row=st.booleans())
def test_a_tensor_survives_the_way_there_and_back(datatype: str, data: st.DataObject, by_row: bool) -> None:
    tensor = data.draw(tensors(datatype).filter(lambda drawn: drawn.size > 0 and drawn.shape[1] > 1))
    names = [f"x{index}" for index in range(tensor.shape[1])]
    both: Shapes = {"x": (datatype, (-1, len(names)))}
    rows = [dict(zip(names, row, strict=True)) for row in tensor.tolist()]
    columns = dict(zip(names, tensor.T.tolist(), strict=True))
    message = {"rows": rows} if by_row else {"columns": columns}
    question = tables.Reader(signature(both, both), IDENTITY).read(json.dumps(message).encode())
    np.testing.assert_array_equal(question.request.feeds["x"], tensor)
    assert question.request.feeds["x"].dtype == tensor.dtype
    answer = json.loads(question.write([tensor]))
    np.testing.assert_array_equal(np.array(answer["outputs"]["x"], tensor.dtype), tensor)


def test_the_answer_names_the_model_and_returns_the_id() -> None:
    message = json.dumps({"rows": [{"age": 1, "income": 2}], "id": "a", "outputs": ["y"]}).encode()
    question = tables.Reader(MATRIX, IDENTITY).read(message)
    assert question.request.outputs == ("y",)
    assert json.loads(question.write([np.array([0.1, np.inf], np.float32)])) == {
        "model": "m",
        "version": "3",
        "id": "a",
        "outputs": {"y": [0.1, None]},
    }
