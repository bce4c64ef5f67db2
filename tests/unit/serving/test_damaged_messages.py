"""Does a message that is damaged somewhere get an answer meant for its sender, whatever the damage?"""

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loadline_serving.datatypes import Array
from loadline_serving.errors import RequestError
from loadline_serving.protocol import messages, openinference, tables, v1
from loadline_serving.protocol import open_inference_pb2 as pb
from support.mutations import damaged_bytes, damaged_json
from support.signatures import IDENTITY, Shapes, signature

MANY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
INPUTS: Shapes = {"a": ("FP32", (-1, 2)), "s": ("BYTES", (-1,)), "b": ("BOOL", ()), "i": ("INT64", (-1, 1))}
MODEL = signature(INPUTS, {"y": ("FP32", (-1, 2))})
TABLE = signature(
    {"age": ("INT64", (-1, 1)), "name": ("BYTES", (-1,)), "risk": ("FP32", (-1,))}, {"y": ("FP32", (-1,))}
)
JSON_TENSORS = [
    {"name": "a", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, 4.5]]},
    {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["x", "é"]},
    {"name": "b", "datatype": "BOOL", "shape": [], "data": [True]},
    {"name": "i", "datatype": "INT64", "shape": [1, 1], "data": [[7]]},
]
V2 = {"id": "1", "parameters": {"binary_data_output": True}, "inputs": JSON_TENSORS, "outputs": [{"name": "y"}]}
TAIL = struct.pack("<4f", 1, 2, 3, 4) + b"\x01\x00\x00\x00x\x02\x00\x00\x00\xc3\xa9" + b"\x01" + struct.pack("<q", 7)
SIZES = (16, 11, 1, 8)
BINARY = {
    "inputs": [
        {key: value for key, value in tensor.items() if key != "data"} | {"parameters": {"binary_data_size": size}}
        for tensor, size in zip(JSON_TENSORS, SIZES, strict=True)
    ]
}
ROWS = {"rows": [{"age": 1, "name": "x", "risk": 0.5}, {"age": 2, "name": "y", "risk": None}], "id": "1"}
COLUMNS = {"columns": {"age": [1, 2], "name": ["x", "y"], "risk": [0.5, None]}, "outputs": ["y"]}
INSTANCES = {"instances": [{"age": 1, "name": {"b64": "eA=="}, "risk": 0.5}], "signature_name": "serving_default"}
TENSORS = {"inputs": {"age": [[1], [2]], "name": ["x", "y"], "risk": [1, 2]}}


def read_or_refused(read: Callable[[], Mapping[str, Array]], inputs: Shapes) -> None:
    """The message is read as tensors that the model takes, or refused as the sender's fault."""
    refusal: RequestError | None = None
    feeds: Mapping[str, Array] = {}
    try:
        feeds = read()
    except RequestError as error:
        refusal = error
    assert refusal is None or (400 <= refusal.http_status < 500 and refusal.message)
    for name, tensor in feeds.items():
        shape = inputs[name][1]
        assert all(expected in {-1, length} for expected, length in zip(shape, tensor.shape, strict=True))


def shapes_of(model: Any) -> Shapes:
    return {name: (spec.datatype.name, spec.shape) for name, spec in model.inputs.items()}


def test_the_messages_are_right_before_they_are_damaged() -> None:
    head = json.dumps(BINARY).encode()
    assert len(openinference.decode(json.dumps(V2).encode(), None, MODEL).feeds) == 4
    assert len(openinference.decode(head + TAIL, len(head), MODEL).feeds) == 4
    for reader, message in ((tables, ROWS), (tables, COLUMNS), (tables, TENSORS), (v1, INSTANCES), (v1, TENSORS)):
        assert len(reader.Reader(TABLE, IDENTITY).read(json.dumps(message).encode()).request.feeds) == 3
    assert len(messages.decode(grpc_message(raw=True), MODEL).feeds) == 4
    assert len(messages.decode(grpc_message(raw=False), MODEL).feeds) == 4


@MANY
@given(st.one_of(damaged_json(V2), damaged_bytes(json.dumps(V2).encode())))
def test_a_damaged_message_in_json(body: bytes) -> None:
    read_or_refused(lambda: openinference.decode(body, None, MODEL).feeds, INPUTS)


@MANY
@given(damaged_json(BINARY), damaged_bytes(TAIL), st.integers(-3, 3))
def test_a_damaged_message_in_bytes(head: bytes, tail: bytes, lie: int) -> None:
    body = head + tail
    read_or_refused(
        lambda: (
            openinference.decode(body, openinference.json_length(b"%d" % (len(head) + lie), len(body)), MODEL).feeds
        ),
        INPUTS,
    )


@MANY
@given(damaged_bytes(TAIL))
def test_damaged_binary_data_behind_a_right_head(tail: bytes) -> None:
    head = json.dumps(BINARY).encode()
    read_or_refused(lambda: openinference.decode(head + tail, len(head), MODEL).feeds, INPUTS)


@pytest.mark.parametrize("message", [ROWS, COLUMNS, TENSORS], ids=["rows", "columns", "inputs"])
@MANY
@given(data=st.data())
def test_a_damaged_table(message: dict[str, Any], data: st.DataObject) -> None:
    body = data.draw(st.one_of(damaged_json(message), damaged_bytes(json.dumps(message).encode())))
    read_or_refused(lambda: tables.Reader(TABLE, IDENTITY).read(body).request.feeds, shapes_of(TABLE))


@pytest.mark.parametrize("message", [INSTANCES, TENSORS], ids=["instances", "inputs"])
@MANY
@given(data=st.data())
def test_a_damaged_message_of_v1(message: dict[str, Any], data: st.DataObject) -> None:
    body = data.draw(st.one_of(damaged_json(message), damaged_bytes(json.dumps(message).encode())))
    read_or_refused(lambda: v1.Reader(TABLE, IDENTITY).read(body).request.feeds, shapes_of(TABLE))


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@MANY
@given(data=st.data())
def test_a_damaged_message_over_grpc(raw: bool, data: st.DataObject) -> None:
    body = data.draw(damaged_bytes(grpc_message(raw=raw).SerializeToString()))
    message = pb.ModelInferRequest()
    try:
        message.ParseFromString(body)
    except DecodeError:
        # gRPC itself refuses it.
        return
    read_or_refused(lambda: messages.decode(message, MODEL).feeds, INPUTS)


def grpc_message(*, raw: bool) -> pb.ModelInferRequest:
    contents = (
        pb.InferTensorContents(fp32_contents=[1, 2, 3, 4]),
        pb.InferTensorContents(bytes_contents=[b"x", "é".encode()]),
        pb.InferTensorContents(bool_contents=[True]),
        pb.InferTensorContents(int64_contents=[7]),
    )
    message = pb.ModelInferRequest(model_name="m", id="1")
    start = 0
    for tensor, size, typed in zip(JSON_TENSORS, SIZES, contents, strict=True):
        named = {"name": tensor["name"], "datatype": tensor["datatype"], "shape": tensor["shape"]}
        message.inputs.add(**named, **({} if raw else {"contents": typed}))
        if raw:
            message.raw_input_contents.append(TAIL[start : start + size])
        start += size
    return message
