"""Are binary tensors, in both directions, the bytes that the specification means?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loadline_serving.datatypes import DATATYPES, Array
from loadline_serving.inference import InferRequest
from loadline_serving.protocol import messages, openinference
from loadline_serving.protocol import open_inference_pb2 as pb
from loadline_serving.signature import Signature
from support.signatures import IDENTITY, Shapes, signature

GOLDEN = Path(__file__).parent / "golden"
EXAMPLE: dict[str, Any] = json.loads((GOLDEN / "worked_example.json").read_text())
TENSORS: list[dict[str, Any]] = json.loads((GOLDEN / "tensors.json").read_text())
ALL_TENSORS = pytest.mark.parametrize("golden", TENSORS, ids=[f"{it['datatype']} {it['shape']}" for it in TENSORS])


def shapes(given: dict[str, list[Any]]) -> Shapes:
    return {name: (datatype, tuple(shape)) for name, (datatype, shape) in given.items()}


def worked() -> Signature:
    return signature(shapes(EXAMPLE["inputs"]), shapes(EXAMPLE["outputs"]))


def of(golden: dict[str, Any]) -> Signature:
    both: Shapes = {"t": (golden["datatype"], tuple(-1 for _ in golden["shape"]))}
    return signature(both, both)


def values(golden: dict[str, Any]) -> Array:
    dtype = DATATYPES[golden["datatype"]].numpy
    return np.array(golden["values"], dtype).reshape(golden["shape"])


def test_the_golden_request_is_read() -> None:
    golden = EXAMPLE["request"]
    head = golden["head"].encode()
    request = openinference.decode(head + bytes.fromhex(golden["tail"]), len(head), worked())
    assert {name: tensor.tolist() for name, tensor in request.feeds.items()} == golden["values"]
    assert request.binary == {"output0"}


def test_the_golden_answer_is_written() -> None:
    golden = EXAMPLE["answer"]
    request = InferRequest(id=None, feeds={}, outputs=("output0",), binary=frozenset({"output0"}))
    answer, head = openinference.encode(request, [np.array(golden["values"], np.float32)], worked(), IDENTITY)
    assert answer == golden["head"].encode() + bytes.fromhex(golden["tail"])
    assert head == len(golden["head"])


@ALL_TENSORS
def test_golden_bytes_are_read_over_http(golden: dict[str, Any]) -> None:
    data = bytes.fromhex(golden["bytes"])
    tensor = {"name": "t", "datatype": golden["datatype"], "shape": golden["shape"]}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}]}).encode()
    read = openinference.decode(head + data, len(head), of(golden)).feeds["t"]
    np.testing.assert_array_equal(read, values(golden))
    assert read.dtype == DATATYPES[golden["datatype"]].numpy


@ALL_TENSORS
def test_golden_bytes_are_written_over_http(golden: dict[str, Any]) -> None:
    request = InferRequest(id=None, feeds={}, outputs=("t",), binary=frozenset({"t"}))
    answer, head = openinference.encode(request, [values(golden)], of(golden), IDENTITY)
    assert head is not None
    data = bytes.fromhex(golden["bytes"])
    assert answer[head:] == data
    assert json.loads(answer[:head])["outputs"][0]["parameters"] == {"binary_data_size": len(data)}


@ALL_TENSORS
def test_golden_bytes_are_raw_contents_over_grpc(golden: dict[str, Any]) -> None:
    data = bytes.fromhex(golden["bytes"])
    tensor = pb.ModelInferRequest.InferInputTensor(name="t", datatype=golden["datatype"], shape=golden["shape"])
    request = messages.decode(pb.ModelInferRequest(inputs=[tensor], raw_input_contents=[data]), of(golden))
    np.testing.assert_array_equal(request.feeds["t"], values(golden))
    answer = messages.encode(request, [values(golden)], of(golden), IDENTITY)
    assert list(answer.raw_output_contents) == [data]
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == (golden["datatype"], golden["shape"])
