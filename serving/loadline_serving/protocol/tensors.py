"""How does one tensor become an array, and an array bytes?

JSON numbers go through `array`, which refuses strings, nulls, fractions for integers and numbers out of range by
itself, and faster than numpy converts a list.
"""

import struct
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from loadline_serving.datatypes import Array
from loadline_serving.errors import BadRequestError
from loadline_serving.signature import TensorSpec

_LENGTH = struct.Struct("<I")


def from_json(spec: TensorSpec, shape: list[int], count: int, data: object, *, booleans: bool) -> Array:
    """The tensor of a JSON list, flat or nested by shape. `booleans`: the message holds true or false somewhere."""
    if not isinstance(data, list):
        raise BadRequestError(f"input '{spec.name}' has no data list")
    if data and isinstance(data[0], list):
        data = _flatten(spec, shape, data)
    if len(data) != count:
        spec.expect_count(len(data), shape, count)
    if spec.datatype.code is not None:
        return _numbers(spec, shape, _without_booleans(spec, data) if booleans else data)
    match spec.datatype.name:
        case "BYTES":
            return _objects(_all_of(spec, data, str, "strings"), shape)
        case "BOOL":
            return np.array(_all_of(spec, data, bool, "true or false"), np.bool_).reshape(shape)
        case _:
            raise BadRequestError(
                f"input '{spec.name}' is {spec.datatype.name}, which has no JSON form; send it as binary data"
            )


def from_contents(spec: TensorSpec, shape: list[int], count: int, data: Sequence[Any]) -> Array:
    """The tensor of a gRPC message's typed contents."""
    spec.expect_count(len(data), shape, count)
    match spec.datatype.name:
        case "BYTES":
            return _objects([_text(spec, item) for item in data], shape)
        case "INT8" | "INT16" | "UINT8" | "UINT16":
            return _numbers(spec, shape, data)
        case _:
            return np.array(data, spec.datatype.numpy).reshape(shape)


def from_bytes(spec: TensorSpec, shape: list[int], count: int, data: memoryview | bytes) -> Array:
    """The tensor of little-endian bytes; the array looks at them, nothing is copied."""
    if spec.datatype.name == "BYTES":
        return _objects(_split_strings(spec, shape, count, data), shape)
    expected = count * spec.datatype.numpy.itemsize
    if len(data) != expected:
        raise BadRequestError(
            f"input '{spec.name}' has {len(data)} bytes of binary data; "
            f"{spec.datatype.name} of shape {shape} takes {expected}"
        )
    tensor: Array = np.frombuffer(data, spec.datatype.numpy).reshape(shape)
    if spec.datatype.name == "BOOL" and count and tensor.view(np.uint8).max() > 1:
        raise BadRequestError(f"input '{spec.name}' has a BOOL byte other than 0 and 1")
    return tensor if tensor.flags.aligned else tensor.copy()


def to_bytes(tensor: Array) -> bytes:
    """Little-endian bytes in row-major order; strings with their length in front."""
    if tensor.dtype != np.object_:
        return tensor.tobytes()
    texts = [str(item).encode() for item in tensor.ravel()]
    return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))


def _numbers(spec: TensorSpec, shape: list[int], data: Sequence[Any]) -> Array:
    code = spec.datatype.code
    if code is None:
        raise AssertionError(f"{spec.datatype.name} has no JSON numbers")
    try:
        numbers = array(code, data)
    except (TypeError, OverflowError) as error:
        raise BadRequestError(
            f"input '{spec.name}' holds something other than {spec.datatype.name} numbers: {error}"
        ) from None
    tensor: Array = np.frombuffer(numbers, code)
    # JSON has no infinity, so one that is here now was a number too large: `array` says nothing of those.
    if code == "f" and np.count_nonzero(np.isfinite(tensor)) != tensor.size:
        raise BadRequestError(f"input '{spec.name}' holds a number beyond the range of FP32")
    return tensor.reshape(shape)


def _without_booleans(spec: TensorSpec, data: list[Any]) -> list[Any]:
    if bool in set(map(type, data)):
        raise BadRequestError(f"input '{spec.name}' holds true or false; {spec.datatype.name} takes numbers")
    return data


def _flatten(spec: TensorSpec, shape: list[int], data: list[Any]) -> list[Any]:
    fits = shape[:1] == [len(data)]
    for inner in shape[1:]:
        fits = fits and all(isinstance(row, list) and len(row) == inner for row in data)
        data = list(chain.from_iterable(data)) if fits else []
    if not fits:
        raise BadRequestError(f"input '{spec.name}' has nested data that does not follow its shape {shape}")
    return data


def _all_of(spec: TensorSpec, data: list[Any], kind: type, words: str) -> list[Any]:
    if not all(type(item) is kind for item in data):
        raise BadRequestError(f"input '{spec.name}' holds something other than {words}")
    return data


def _objects(items: list[Any], shape: list[int]) -> Array:
    tensor = np.empty(len(items), np.object_)
    tensor[:] = items
    return tensor.reshape(shape)


def _split_strings(spec: TensorSpec, shape: list[int], count: int, data: memoryview | bytes) -> list[str]:
    texts: list[str] = []
    offset, end = 0, len(data)
    while offset < end:
        start = offset + _LENGTH.size
        stop = start + _LENGTH.unpack_from(data, offset)[0] if start <= end else end + 1
        if stop > end:
            raise BadRequestError(f"input '{spec.name}' has a string whose length runs past its binary data")
        texts.append(_text(spec, bytes(data[start:stop])))
        offset = stop
    spec.expect_count(len(texts), shape, count)
    return texts


def _text(spec: TensorSpec, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadRequestError(f"input '{spec.name}' holds a string that is not UTF-8") from None
