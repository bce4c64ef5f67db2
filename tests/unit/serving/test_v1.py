"""Is every message of V1 read as TensorFlow Serving means it, and answered in its form?"""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loadline_serving.datatypes import DATATYPES, Array
from loadline_serving.errors import BadRequestError, UnsupportedOutputError
from loadline_serving.protocol import v1
from support.signatures import IDENTITY, Shapes, signature
from support.tensor_strategies import tensors

A_FEW = settings(max_examples=20, deadline=None)
ONE: Shapes = {"x": ("FP32", (-1, 2))}
TWO: Shapes = {"age": ("INT64", (-1, 1)), "name": ("BYTES", (-1,))}
OUT: Shapes = {"y": ("FP32", (-1, 2))}


def reader(inputs: Shapes, outputs: Shapes = OUT) -> v1.Reader:
    return v1.Reader(signature(inputs, outputs), IDENTITY)


def feeds(inputs: Shapes, message: object) -> dict[str, Any]:
    read = reader(inputs).read(json.dumps(message).encode()).request.feeds
    return {name: tensor.tolist() for name, tensor in read.items()}


@pytest.mark.parametrize(
    ("inputs", "message", "tensors_read"),
    [
        (ONE, {"instances": [[1, 2], [3, 4]]}, {"x": [[1, 2], [3, 4]]}),
        (ONE, {"instances": [{"x": [1, 2]}]}, {"x": [[1, 2]]}),
        (ONE, {"instances": [{"x0": 1, "x1": 2}]}, {"x": [[1, 2]]}),
        (ONE, {"inputs": [[1, 2]]}, {"x": [[1, 2]]}),
        (ONE, {"inputs": {"x": [[1, 2]]}, "signature_name": "serving_default"}, {"x": [[1, 2]]}),
        (TWO, {"instances": [{"age": 3, "name": "a"}, {"name": "b", "age": 4}]},
         {"age": [[3], [4]], "name": ["a", "b"]}),
        (TWO, {"instances": [{"age": [3], "name": {"b64": "w6k="}}]}, {"age": [[3]], "name": ["é"]}),
        (TWO, {"inputs": {"age": [[3]], "name": ["a"]}}, {"age": [[3]], "name": ["a"]}),
        ({"s": ("BYTES", (-1,))}, {"instances": [{"b64": "aGk="}, "ho"]}, {"s": ["hi", "ho"]}),
    ],
)  # fmt: skip
def test_rows_and_columns_become_tensors(inputs: Shapes, message: object, tensors_read: dict[str, Any]) -> None:
    assert feeds(inputs, message) == tensors_read


@pytest.mark.parametrize(
    ("inputs", "message", "complaint"),
    [
        (ONE, {}, "needs 'instances' or 'inputs'"),
        (ONE, {"instances": [[1, 2]], "inputs": [[1, 2]]}, "one of them; it has instances, inputs"),
        (ONE, {"instances": []}, "one element for each row"),
        (ONE, {"instances": 3}, "one element for each row"),
        (ONE, {"instances": [[1, 2], [3]]}, "input 'x' has nested data"),
        (ONE, {"instances": [[1, 2, 3]]}, r"input 'x' has shape \[1, 3\]; the model expects \[-1, 2\]"),
        (ONE, {"instances": [[1, "2"]]}, "input 'x' holds something other than FP32"),
        (ONE, {"instances": [[1, True]]}, "true or false"),
        (ONE, {"instances": [{"x": [1, 2]}, {"z": [1, 2]}]}, "instance 1 has z; the model expects x"),
        (ONE, {"instances": [{"x": [1, 2]}, [1, 2]]}, "instance 1 has no names"),
        (ONE, {"instances": [{"x0": 1}]}, "row 0 lacks 'x1'"),
        (ONE, {"instances": [[1, 2]], "signature_name": "other"}, "one signature"),
        (ONE, {"instances": [[1, 2]], "extra": 1}, "unknown key 'extra'"),
        (ONE, {"inputs": {"z": [[1, 2]]}}, "no input 'z'"),
        (TWO, {"instances": [[3, "a"]]}, "name this model's inputs: age, name"),
        (TWO, {"instances": [{"age": 3}]}, "instance 0 has age; the model expects age, name"),
        (TWO, {"inputs": {"age": [[3]]}}, "missing input 'name'"),
        (TWO, {"inputs": {"age": [[3]], "name": [{"b64": "!"}]}}, "input 'name' holds an object that is not"),
        (TWO, {"inputs": {"age": [[3]], "name": [{"b64": "/w=="}]}}, "base64 of UTF-8"),
    ],
)
def test_a_wrong_message_is_refused_in_words(inputs: Shapes, message: object, complaint: str) -> None:
    with pytest.raises(BadRequestError, match=complaint):
        feeds(inputs, message)


@pytest.mark.parametrize("datatype", DATATYPES)
@A_FEW
@given(data=st.data(), by_row=st.booleans())
def test_a_tensor_survives_the_way_there_and_back(datatype: str, data: st.DataObject, by_row: bool) -> None:
    tensor = data.draw(tensors(datatype).filter(lambda drawn: drawn.size > 0))
    both: Shapes = {"x": (datatype, (-1, -1))}
    question = reader(both, both).read(json.dumps({"instances" if by_row else "inputs": tensor.tolist()}).encode())
    np.testing.assert_array_equal(question.request.feeds["x"], tensor)
    assert question.request.feeds["x"].dtype == tensor.dtype
    answer = json.loads(question.write([tensor]))
    assert list(answer) == ["predictions" if by_row else "outputs"]
    [values] = answer.values()
    np.testing.assert_array_equal(np.array(values, tensor.dtype), tensor)


def answered(outputs: Shapes, results: list[Array], message: object) -> Any:
    return json.loads(reader(ONE, outputs).read(json.dumps(message).encode()).write(results))


def test_several_outputs_are_told_apart_by_name() -> None:
    outputs: Shapes = {"label": ("BYTES", (-1,)), "scores": ("FP32", (-1, 2))}
    results = [np.array(["a", "b"], object), np.array([[0.1, np.nan], [1, 0]], np.float32)]
    assert answered(outputs, results, {"instances": [[1, 2], [3, 4]]}) == {
        "predictions": [{"label": "a", "scores": [0.1, None]}, {"label": "b", "scores": [1, 0]}]
    }
    assert answered(outputs, results, {"inputs": [[1, 2], [3, 4]]}) == {
        "outputs": {"label": ["a", "b"], "scores": [[0.1, None], [1, 0]]}
    }


def test_numbers_of_64_bits_stay_exact() -> None:
    outputs: Shapes = {"n": ("INT64", (-1,)), "u": ("UINT64", (-1,))}
    results = [np.array([-(2**63)]), np.array([2**64 - 1], np.uint64)]
    assert answered(outputs, results, {"instances": [[1, 2]]}) == {"predictions": [{"n": -(2**63), "u": 2**64 - 1}]}


def test_an_output_without_rows_is_refused_by_rows_and_given_by_columns() -> None:
    results = [np.array(7, np.float32)]
    outputs: Shapes = {"total": ("FP32", ())}
    with pytest.raises(UnsupportedOutputError, match=r"output 'total' of shape \[\] has no row"):
        answered(outputs, results, {"instances": [[1, 2]]})
    assert answered(outputs, results, {"inputs": [[1, 2]]}) == {"outputs": 7}
