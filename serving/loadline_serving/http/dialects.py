"""Which paths run the model, and in which protocol does each speak?"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from loadline_serving.datatypes import Array
from loadline_serving.errors import BadRequestError
from loadline_serving.inference import Identity, InferRequest, Slot
from loadline_serving.protocol import openinference, tables, v1
from loadline_serving.protocol.codec import Codec
from loadline_serving.protocol.questions import Reader
from loadline_serving.signature import Signature

PREDICT = "/predict"
Encode = Callable[[InferRequest, Sequence[Array]], tuple[bytes, int | None]]
"""Writes an answer: its body, and the length of its JSON part if binary tensors follow it."""
_MakeReader = Callable[[Signature, Identity], Reader]


class Dialect(Protocol):
    """A protocol over HTTP."""

    def read(self, body: bytes, length_header: bytes | None) -> tuple[InferRequest, Encode]:
        """The request in a body, and how it is answered; raises RequestError.

        `length_header`: the value of Inference-Header-Content-Length, if it came.
        """


class V2:
    """The Open Inference Protocol."""

    def __init__(self, slot: Slot) -> None:
        self._codec = Codec(slot)

    def read(self, body: bytes, length_header: bytes | None) -> tuple[InferRequest, Encode]:
        """As Dialect says."""
        json_length = None if length_header is None else openinference.json_length(length_header, len(body))
        return self._codec.decode(body, json_length), self._codec.encode


class PlainJson:
    """A protocol whose messages are JSON and nothing else."""

    def __init__(self, slot: Slot, make_reader: _MakeReader) -> None:
        self._slot = slot
        self._make_reader = make_reader
        self._reader: Reader | None = None

    def read(self, body: bytes, length_header: bytes | None) -> tuple[InferRequest, Encode]:
        """As Dialect says."""
        if length_header is not None:
            raise BadRequestError("binary tensors belong to V2; send JSON, without Inference-Header-Content-Length")
        # The process serves one model for life: what its signature asks for is worked out once.
        if self._reader is None:
            self._reader = self._make_reader(self._slot.get().signature, self._slot.identity)
        question = self._reader.read(body)
        return question.request, lambda _, results: (question.write(results), None)


def dialects(slot: Slot) -> Mapping[str, Dialect]:
    """What answers POST, by its path."""
    identity, second = slot.identity, V2(slot)
    model = f"/v2/models/{identity.name}"
    return {
        f"{model}/infer": second,
        f"{model}/versions/{identity.version}/infer": second,
        v1_predict(identity.name): PlainJson(slot, v1.Reader),
        PREDICT: PlainJson(slot, tables.Reader),
    }


def v1_predict(model: str) -> str:
    """The path of V1's predict."""
    return f"/v1/models/{model}:predict"
