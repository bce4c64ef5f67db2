"""What do the JSON protocols beside V2 share: a body that is an object, values nested by shape, an answer to write?"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import orjson

from loadline_serving.datatypes import DATATYPES, Array
from loadline_serving.errors import BadRequestError
from loadline_serving.inference import InferRequest
from loadline_serving.protocol.json_body import json_object
from loadline_serving.protocol.tensors import from_json
from loadline_serving.signature import TensorSpec


class Question(NamedTuple):
    """A request, and how its results are written."""

    request: InferRequest
    write: Callable[[Sequence[Array]], bytes]


class Reader(Protocol):
    """One protocol, for one model."""

    def read(self, body: bytes) -> Question:
        """The question in a body; raises RequestError."""


def load_object(body: bytes, known: Collection[str]) -> dict[str, Any]:
    """The JSON object in a body, if it has no key but the known ones."""
    message = json_object(body)
    for key in message:
        if key not in known:
            raise BadRequestError(f"the body has the unknown key '{key}'; known are {', '.join(known)}")
    return message


def one_of(message: dict[str, Any], keys: Sequence[str]) -> str:
    """The one of these keys that is there."""
    there = [key for key in keys if key in message]
    if len(there) != 1:
        names = " or ".join(f"'{key}'" for key in keys)
        raise BadRequestError(f"the body needs {names}, one of them; it has {', '.join(there) or 'none'}")
    return there[0]


def tensor(spec: TensorSpec, data: object, *, booleans: bool) -> Array:
    """The tensor of values that are nested by its shape."""
    shape = _shape_of(data)
    count = spec.expect(spec.datatype.name, shape)
    values = data if shape else [data]
    if spec.datatype.name != "FP16":
        return from_json(spec, shape, count, values, booleans=booleans)
    wide = from_json(replace(spec, datatype=DATATYPES["FP32"]), shape, count, values, booleans=booleans)
    return to_half(wide, spec.name)


def to_half(wide: Array, name: str) -> Array:
    """The same numbers in FP16, unless one of them is beyond its range."""
    with np.errstate(over="ignore"):
        half = wide.astype("<f2")
    if np.isinf(half).any():
        raise BadRequestError(f"input '{name}' holds a number beyond the range of FP16")
    return half


def dump(message: object) -> bytes:
    """JSON, arrays included; what JSON has no number for is null."""
    return orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)


def nested(result: Array) -> Any:
    """An array as what `dump` writes as lists nested by its shape."""
    if result.dtype == np.object_ or not result.ndim:
        return result.tolist()
    return np.ascontiguousarray(result)


def _shape_of(data: object) -> list[int]:
    """The shape that the first elements tell; whether the others follow it is seen when they are read."""
    shape = []
    while isinstance(data, list):
        shape.append(len(data))
        data = data[0] if data else None
    return shape
