"""Does remembering layouts and frames change nothing about what is read and written?"""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loadline_serving.datatypes import DATATYPES, Array
from loadline_serving.errors import BadRequestError, RequestError
from loadline_serving.inference import InferRequest, Slot
from loadline_serving.protocol import openinference
from loadline_serving.protocol.codec import Codec
from loadline_serving.protocol.tensors import to_bytes
from loadline_serving.signature import Signature
from support.scripted_model import ScriptedModel
from support.signatures import IDENTITY, signature
from support.tensor_strategies import tensors
from typing_extensions import override

# Six tensors in one example make Hypothesis throw many away; those that are left are enough.
A_FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
NUMBERS = sorted(DATATYPES)
MORE: list[dict[str, Any]] = [{}, {"parameters": {"timeout": 5}}, {"outputs": [{"name": "y"}]}]


class Fixed(ScriptedModel):
    """A model of a given signature."""

    def __init__(self, given: Signature) -> None:
        super().__init__()
        self._given = given

    @property
    @override
    def signature(self) -> Signature:
        return self._given


def codec_of(given: Signature) -> Codec:
    slot = Slot(IDENTITY)
    slot.put(Fixed(given))
    return Codec(slot)


def one(datatype: str) -> Signature:
    return signature({"x": (datatype, (-1, -1))}, {"y": (datatype, (-1, -1))})


def binary(tensor: Array, datatype: str, **more: Any) -> tuple[bytes, int]:
    data = to_bytes(tensor)
    described: dict[str, Any] = {"name": "x", "datatype": datatype, "shape": list(tensor.shape)}
    described["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"inputs": [described]} | more).encode()
    return head + data, len(head)


def same(found: InferRequest, expected: InferRequest) -> None:
    assert found._replace(feeds={}) == expected._replace(feeds={})
    assert list(found.feeds) == list(expected.feeds)
    for name, tensor in expected.feeds.items():
        np.testing.assert_array_equal(found.feeds[name], tensor)
        assert found.feeds[name].dtype == tensor.dtype
        assert found.feeds[name].flags.aligned


@pytest.mark.parametrize("datatype", NUMBERS)
@A_FEW
@given(data=st.data())
def test_the_same_head_again_is_read_as_the_first_time(datatype: str, data: st.DataObject) -> None:
    codec, tensor = codec_of(one(datatype)), data.draw(tensors(datatype))
    other = data.draw(tensors(datatype))
    parameters: dict[str, Any] = data.draw(st.sampled_from(MORE))
    for values in (tensor, np.zeros_like(tensor) if datatype != "BYTES" else tensor, tensor, other):
        body, length = binary(values, datatype, **parameters)
        same(codec.decode(body, length), openinference.decode(body, length, one(datatype)))


@pytest.mark.parametrize("cut", [-1, -4, 1, 4])
def test_a_head_that_is_known_excuses_no_wrong_length(cut: int) -> None:
    codec, tensor = codec_of(one("FP32")), np.ones((2, 3), "<f4")
    body, length = binary(tensor, "FP32")
    codec.decode(body, length)
    with pytest.raises(BadRequestError):
        codec.decode(body[:cut] if cut < 0 else body + b"\0" * cut, length)
    same(codec.decode(body, length), openinference.decode(body, length, one("FP32")))


def test_a_byte_that_is_no_boolean_is_found_behind_a_known_head() -> None:
    codec = codec_of(one("BOOL"))
    body, length = binary(np.ones((1, 2), np.bool_), "BOOL")
    codec.decode(body, length)
    with pytest.raises(BadRequestError, match="BOOL byte"):
        codec.decode(body[:-1] + b"\x02", length)


def test_ids_come_back_each_with_its_own_request() -> None:
    codec = codec_of(one("FP32"))
    for name in ("a", "b", None, 'with "quotes"', "a"):
        more = {} if name is None else {"id": name}
        body, length = binary(np.ones((1, 2), "<f4"), "FP32", **more)
        request = codec.decode(body, length)
        answer, _ = codec.encode(request, [np.ones((1, 2), np.float32)])
        assert json.loads(answer).get("id") == name


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("as_bytes", [True, False], ids=["bytes", "json"])
@A_FEW
@given(data=st.data())
def test_an_answer_is_the_same_byte_for_byte_however_often_it_was_written(
    datatype: str, as_bytes: bool, data: st.DataObject
) -> None:
    known = signature({"x": (datatype, (-1,))}, {"y": (datatype, (-1, -1)), "z": ("FP32", (-1, -1))})
    codec = codec_of(known)
    outputs = data.draw(st.sampled_from([("y",), ("y", "z"), ("z", "y")]))
    some = data.draw(st.sampled_from([frozenset(outputs), frozenset({outputs[0]})])) if as_bytes else frozenset[str]()
    for _ in range(3):
        results = [data.draw(tensors(datatype if name == "y" else "FP32")) for name in outputs]
        request = InferRequest(data.draw(st.sampled_from([None, "a"])), {}, outputs, some)
        assert _written(codec.encode, request, results) == _written(
            lambda request, results: openinference.encode(request, results, known, IDENTITY), request, results
        )


def _written(encode: Any, request: InferRequest, results: list[Array]) -> Any:
    try:
        return encode(request, results)
    except RequestError as error:
        return error.message


def test_more_layouts_than_are_remembered_are_all_read() -> None:
    codec = codec_of(one("INT64"))
    for length in [*range(1, 300), *range(1, 300)]:
        tensor = np.arange(length, dtype="<i8").reshape(1, length)
        body, head = binary(tensor, "INT64")
        np.testing.assert_array_equal(codec.decode(body, head).feeds["x"], tensor)
