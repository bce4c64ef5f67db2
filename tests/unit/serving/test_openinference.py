"""Is every V2 message over HTTP read as it is meant, or refused in a sentence that names the input?"""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loadline_serving.datatypes import DATATYPES, Array
from loadline_serving.errors import BadRequestError
from loadline_serving.inference import InferRequest
from loadline_serving.protocol import openinference
from support.signatures import IDENTITY, signature
from support.tensor_strategies import tensors

X = signature({"x": ("FP32", (-1, 2))}, {"y": ("FP32", (-1, 2))})
# Each property holds for 13 datatypes: a few examples of each go a long way, and no deadline fails on a busy machine.
A_FEW = settings(max_examples=20, deadline=None)
IN_JSON = [name for name in DATATYPES if name != "FP16"]


def body(**changes: Any) -> bytes:
    """A right request for X, with changes to its one input."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, 2]} | changes
    return json.dumps({"inputs": [tensor]}).encode()


def of(datatype: str, name: str = "x") -> Any:
    return signature({name: (datatype, (-1, -1))}, {name: (datatype, (-1, -1))})


def nested(tensor: Array) -> list[Any]:
    return list(tensor.tolist())


@pytest.mark.parametrize("datatype", IN_JSON)
@A_FEW
@given(data=st.data(), nest=st.booleans())
def test_a_json_tensor_is_read_as_it_was_written(datatype: str, data: st.DataObject, nest: bool) -> None:
    tensor = data.draw(tensors(datatype))
    message = {
        "inputs": [
            {
                "name": "x",
                "datatype": datatype,
                "shape": list(tensor.shape),
                "data": nested(tensor) if nest else tensor.ravel().tolist(),
            }
        ]
    }
    request = openinference.decode(json.dumps(message).encode(), None, of(datatype))
    np.testing.assert_array_equal(request.feeds["x"], tensor)
    assert request.feeds["x"].dtype == tensor.dtype


@pytest.mark.parametrize("datatype", DATATYPES)
@A_FEW
@given(data=st.data())
def test_an_answer_in_bytes_is_a_request_in_bytes(datatype: str, data: st.DataObject) -> None:
    tensor = data.draw(tensors(datatype))
    request = InferRequest(id="a", feeds={}, outputs=("x",), binary=frozenset({"x"}))
    answer, head = openinference.encode(request, [tensor], of(datatype), IDENTITY)
    assert head is not None
    answered = json.loads(answer[:head])
    assert answered["id"] == "a"
    again = json.dumps({"inputs": answered["outputs"]}).encode()
    read = openinference.decode(again + answer[head:], len(again), of(datatype))
    np.testing.assert_array_equal(read.feeds["x"], tensor)


@pytest.mark.parametrize("datatype", IN_JSON)
@A_FEW
@given(data=st.data())
def test_an_answer_in_json_holds_the_tensor(datatype: str, data: st.DataObject) -> None:
    tensor = data.draw(tensors(datatype))
    request = InferRequest(id=None, feeds={}, outputs=("x",))
    answer, head = openinference.encode(request, [tensor], of(datatype), IDENTITY)
    message = json.loads(answer)
    assert head is None
    assert "id" not in message
    assert (message["model_name"], message["model_version"]) == ("m", "3")
    [output] = message["outputs"]
    values = np.array(output["data"], tensor.dtype).reshape(output["shape"])
    np.testing.assert_array_equal(values, tensor)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "missing input 'x'"),
        (b'{"inputs": 3}', "'inputs' is not a list of objects"),
        (b'{"inputs": [3]}', "'inputs' is not a list of objects"),
        (b'{"inputs": [], "outputs": [1]}', "missing input 'x'"),
        (body(name="z"), "no input 'z'; it has 'x'"),
        (body(name=None), "no input None"),
        (body(datatype="FP64"), "input 'x' has datatype 'FP64'; the model expects FP32"),
        (body(datatype=None), "datatype None"),
        (body(shape=[1, 3]), r"input 'x' has shape \[1, 3\]; the model expects \[-1, 2\]"),
        (body(shape=[2]), "has shape"),
        (body(shape="12"), "has shape 12"),
        (body(shape=[-1, 2]), "has shape"),
        (body(shape=[True, 2]), "has shape"),
        (body(shape=[1.0, 2]), "has shape"),
        (body(shape=[[1], 2]), "has shape"),
        (body(shape=[{}, 2]), "has shape"),
        (body(data=[1.0]), r"input 'x' has 1 elements; its shape \[1, 2\] holds 2"),
        (body(shape=[10**18, 2]), "holds 2000000000000000000"),
        (body(data=[[]] * 2), "does not follow its shape"),
        (body(data=[[1.0], [2.0]]), "does not follow its shape"),
        (body(data=[[1.0, 2.0], [3.0, 4.0]]), "does not follow its shape"),
        (body(data=[[1.0, [2.0]]]), "other than FP32 numbers"),
        (body(data=[1.0, "2"]), "input 'x' holds something other than FP32 numbers"),
        (body(data=[1.0, None]), "other than FP32 numbers"),
        (body(data=[1.0, True]), "holds true or false"),
        (body(data={}), "no data list"),
        (body(data=[1.0, 1e39]), "beyond the range of FP32"),
        (body(data=[1.0, 10**400]), "not JSON|other than FP32 numbers"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,NaN]}]}', "not JSON"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,Infinity]}]}', "not JSON"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,1e999]}]}', "not JSON"),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2]}]}', "neither data nor binary_data_size"),
        (body(parameters=[]), "parameters of 'x' are not an object"),
        (body(parameters={"binary_data_size": 8}), "both data and binary_data_size"),
        (b'{"id": 7, "inputs": ' + body()[11:], "'id' is not a string"),
        (body()[:-1] + b', "outputs": [{"name": "z"}]}', "no output 'z'; it has 'y'"),
        (body()[:-1] + b', "outputs": [{"name": ["y"]}]}', "no output"),
        (body()[:-1] + b', "outputs": [{"name": "y"}, {"name": "y"}]}', "asked for twice"),
        (body()[:-1] + b', "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}', "not true or false"),
        (body()[:-1] + b', "parameters": {"binary_data_output": "yes"}}', "not true or false"),
        (body()[:-1] + b', "parameters": 3}', "not an object"),
    ],
)  # fmt: skip
def test_a_wrong_message_is_refused_in_words(message: bytes, complaint: str) -> None:
    with pytest.raises(BadRequestError, match=complaint):
        openinference.decode(message, None, X)


@pytest.mark.parametrize("data", [[[1]], [[]], [[[1]]]])
def test_a_single_value_in_a_list_of_lists_is_refused(data: list[Any]) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [], "data": data}
    with pytest.raises(BadRequestError, match="input 'x' has nested data"):
        openinference.decode(json.dumps({"inputs": [tensor]}).encode(), None, signature({"x": ("FP32", ())}, {}))


@pytest.mark.parametrize("shape", [[0, 2**62], [0, 2**64 - 1]])
def test_a_tensor_of_nothing_that_no_memory_could_hold_is_refused(shape: list[int]) -> None:
    with pytest.raises(BadRequestError, match="input 'x' has shape"):
        openinference.decode(body(shape=shape, data=[]), None, of("FP32"))


def test_an_input_that_is_there_twice_is_refused() -> None:
    tensor = json.loads(body())["inputs"][0]
    with pytest.raises(BadRequestError, match="input 'x' is there twice"):
        openinference.decode(json.dumps({"inputs": [tensor, tensor]}).encode(), None, X)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("INT8", 128),
        ("INT8", -129),
        ("UINT8", -1),
        ("UINT8", 256),
        ("INT16", 2**15),
        ("UINT16", 2**16),
        ("INT32", 2**31),
        ("UINT32", 2**32),
        ("INT64", 2**63),
        ("UINT64", 2**64),
        ("UINT64", -1),
        ("INT64", 1.0),
        ("INT32", "1"),
        ("BOOL", 1),
        ("BOOL", "true"),
        ("BYTES", 1),
        ("BYTES", None),
        ("FP16", 1.0),
    ],
)
def test_a_value_that_the_datatype_does_not_hold_is_refused(datatype: str, value: object) -> None:
    spec = signature({"x": (datatype, (1,))}, {"y": (datatype, (1,))})
    message = {"inputs": [{"name": "x", "datatype": datatype, "shape": [1], "data": [value]}]}
    with pytest.raises(BadRequestError, match="input 'x'"):
        openinference.decode(json.dumps(message).encode(), None, spec)


@pytest.mark.parametrize(
    ("size", "tail", "complaint"),
    [
        (8, b"1234567", "binary_data_size of input 'x' is 8, but only 7 bytes are left"),
        (8, b"123456789", "1 bytes follow the binary data"),
        (7, b"1234567", r"input 'x' has 7 bytes of binary data; FP32 of shape \[1, 2\] takes 8"),
        (-1, b"", "not a whole number"),
        (8.0, b"12345678", "not a whole number"),
        (True, b"1", "not a whole number"),
        (2**70, b"", "binary_data_size of input 'x'"),
    ],
)
def test_binary_data_that_lies_about_its_size_is_refused(size: object, tail: bytes, complaint: str) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(BadRequestError, match=complaint):
        openinference.decode(head + tail, len(head), X)


@pytest.mark.parametrize(
    ("tail", "complaint"),
    [
        (b"\x01\x00\x00", "runs past its binary data"),
        (b"\x02\x00\x00\x00a", "runs past its binary data"),
        (b"\xff\xff\xff\xffa", "runs past its binary data"),
        (b"\x01\x00\x00\x00\xff", "not UTF-8"),
        (b"\x01\x00\x00\x00a\x01\x00\x00\x00b", "has 2 elements"),
        (b"", "has 0 elements"),
    ],
)
def test_strings_in_bytes_that_do_not_add_up_are_refused(tail: bytes, complaint: str) -> None:
    spec = signature({"s": ("BYTES", (1,))}, {"s": ("BYTES", (1,))})
    tensor = {"name": "s", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(BadRequestError, match=complaint):
        openinference.decode(head + tail, len(head), spec)


def test_a_boolean_byte_is_zero_or_one() -> None:
    spec = signature({"b": ("BOOL", (-1,))}, {})
    tensor = {"name": "b", "datatype": "BOOL", "shape": [2], "parameters": {"binary_data_size": 2}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(BadRequestError, match="input 'b' has a BOOL byte"):
        openinference.decode(head + b"\x01\x02", len(head), spec)


@pytest.mark.parametrize("header", [b"", b"-1", b"1e3", b"x", b"9" * 30, b"11"])
def test_a_length_of_the_json_part_that_cannot_be_is_refused(header: bytes) -> None:
    with pytest.raises(BadRequestError, match="Inference-Header-Content-Length"):
        openinference.json_length(header, 10)


@pytest.mark.parametrize(
    ("more", "binary"),
    [
        ({}, set()),
        ({"parameters": {"binary_data_output": True}}, {"sum", "difference"}),
        ({"outputs": [{"name": "sum", "parameters": {"binary_data": True}}]}, {"sum"}),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "sum", "parameters": {"binary_data": False}}, {"name": "difference"}],
            },
            {"difference"},
        ),
    ],
)
def test_an_output_goes_out_in_bytes_when_asked_for(more: dict[str, Any], binary: set[str]) -> None:
    shape = ("FP32", (-1,))
    spec = signature({"a": shape, "b": shape}, {"sum": shape, "difference": shape})
    inputs = [{"name": name, "datatype": "FP32", "shape": [1], "data": [1]} for name in ("b", "a")]
    request = openinference.decode(json.dumps({"inputs": inputs} | more).encode(), None, spec)
    assert request.binary == binary
    assert list(request.feeds) == ["b", "a"]


def test_a_half_float_answer_in_json_is_refused_with_the_remedy() -> None:
    request = InferRequest(id=None, feeds={}, outputs=("x",))
    with pytest.raises(BadRequestError, match=r"output 'x' is FP16.*binary_data"):
        openinference.encode(request, [np.zeros((1, 1), np.float16)], of("FP16"), IDENTITY)


@settings(deadline=None)
@given(st.binary(max_size=200), st.one_of(st.none(), st.integers(0, 200)))
def test_no_bytes_do_anything_but_parse_or_be_refused(message: bytes, length: int | None) -> None:
    with pytest.raises(BadRequestError):
        openinference.decode(message, min(length, len(message)) if length is not None else None, X)
