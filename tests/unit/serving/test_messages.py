"""Is every V2 message over gRPC read as it is meant, or refused in a sentence that names the input?"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loadline_serving.datatypes import DATATYPES
from loadline_serving.errors import BadRequestError
from loadline_serving.inference import InferRequest
from loadline_serving.protocol import messages
from loadline_serving.protocol import open_inference_pb2 as pb
from support.signatures import IDENTITY, signature
from support.tensor_strategies import tensors

X = signature({"x": ("FP32", (-1, 2))}, {"y": ("FP32", (-1, 2))})

# Each property holds for 13 datatypes: a few examples of each go a long way, and no deadline fails on a busy machine.
A_FEW = settings(max_examples=20, deadline=None)


def message(raw: list[bytes] | None = None, **changes: Any) -> pb.ModelInferRequest:
    fields: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 2]} | changes
    if raw is None and "contents" not in fields:
        fields["contents"] = pb.InferTensorContents(fp32_contents=[1.5, 2])
    tensor = pb.ModelInferRequest.InferInputTensor(**fields)
    return pb.ModelInferRequest(model_name="m", id="a", inputs=[tensor], raw_input_contents=raw or [])


@pytest.mark.parametrize("datatype", DATATYPES)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@A_FEW
@given(data=st.data())
def test_a_tensor_survives_the_way_there_and_back(datatype: str, raw: bool, data: st.DataObject) -> None:
    tensor = data.draw(tensors(datatype))
    both = signature({"x": (datatype, (-1, -1))}, {"x": (datatype, (-1, -1))})
    request = InferRequest(id="a", feeds={}, outputs=("x",), raw=raw)
    answer = messages.encode(request, [tensor], both, IDENTITY)
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "a")
    again = pb.ModelInferRequest(
        inputs=[
            pb.ModelInferRequest.InferInputTensor(
                name=output.name,
                datatype=output.datatype,
                shape=output.shape,
                contents=output.contents if output.HasField("contents") else None,
            )
            for output in answer.outputs
        ],
        raw_input_contents=answer.raw_output_contents,
    )
    read = messages.decode(again, both)
    np.testing.assert_array_equal(read.feeds["x"], tensor)
    assert read.feeds["x"].dtype == tensor.dtype
    assert read.raw == (raw or datatype == "FP16")


@pytest.mark.parametrize(
    ("request_message", "complaint"),
    [
        (pb.ModelInferRequest(), "missing input 'x'"),
        (message(name="z"), "no input 'z'"),
        (message(datatype="INT8"), "input 'x' has datatype 'INT8'; the model expects FP32"),
        (message(shape=[1]), r"has shape \[1\]"),
        (message(shape=[-1, 2]), "has shape"),
        (message(shape=[2, 2]), "input 'x' has 2 elements"),
        (message(contents=pb.InferTensorContents(fp64_contents=[1, 2])), "FP32 goes into fp32_contents"),
        (message(raw=[b"1234"]), "input 'x' has 4 bytes of binary data"),
        (message(raw=[b"12345678", b""]), "raw_input_contents has 2 elements"),
        (
            message(raw=[b"12345678"], contents=pb.InferTensorContents(fp32_contents=[1, 2])),
            "has contents beside raw_input_contents",
        ),
    ],
)
def test_a_wrong_message_is_refused_in_words(request_message: pb.ModelInferRequest, complaint: str) -> None:
    with pytest.raises(BadRequestError, match=complaint):
        messages.decode(request_message, X)


def test_a_number_that_a_narrow_integer_does_not_hold_is_refused() -> None:
    spec = signature({"x": ("INT8", (1,))}, {})
    wide = message(datatype="INT8", shape=[1], contents=pb.InferTensorContents(int_contents=[300]))
    with pytest.raises(BadRequestError, match="other than INT8"):
        messages.decode(wide, spec)


def test_an_unknown_output_is_refused() -> None:
    asked = message()
    asked.outputs.add(name="z")
    with pytest.raises(BadRequestError, match="no output 'z'"):
        messages.decode(asked, X)
