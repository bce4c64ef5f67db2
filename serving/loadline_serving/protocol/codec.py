"""What need not be read or written anew, since a caller sends the same kind of request again and again?

The JSON part of a request with binary tensors says only names, shapes and sizes: where it is the same, byte for byte,
as one that was read before, so is its meaning. And of an answer only the data differ from one to the next of the same
shapes. Both are remembered, in bounded numbers.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from loadline_serving.datatypes import Array
from loadline_serving.inference import InferRequest, Slot
from loadline_serving.protocol import openinference

_MOST = 128
"""Layouts that are remembered; when there are more, all are forgotten."""
_LONGEST = 4096
"""Bytes of a JSON part that is remembered."""
_MARK = 1234567890123456789
"""Stands where the data will be, in an answer that is taken apart; names that hold it keep it from being remembered."""


class _Part(NamedTuple):
    """Where one tensor lies in the body."""

    name: str
    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    elements: int
    offset: int


class _Layout(NamedTuple):
    """What a JSON part means."""

    parts: tuple[_Part, ...]
    length: int
    """Of the whole body."""
    request: InferRequest
    """Without tensors."""


class _Frame(NamedTuple):
    """An answer around its data."""

    before_id: bytes
    pieces: tuple[bytes, ...]
    """Between the data of outputs in JSON; a single one where all go as bytes."""


class Codec:
    """Reads requests and writes answers of one model over HTTP."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._layouts: dict[bytes, _Layout] = {}
        self._frames: dict[tuple[Any, ...], _Frame] = {}

    def decode(self, body: bytes, json_length: int | None) -> InferRequest:
        """As openinference.decode does; raises NotReadyError before there is a model."""
        if json_length is None or json_length > _LONGEST:
            return openinference.decode(body, json_length, self._slot.get().signature)
        head = body[:json_length]
        layout = self._layouts.get(head)
        if layout is not None and len(body) == layout.length:
            return _cut(body, layout)
        request = openinference.decode(body, json_length, self._slot.get().signature)
        if request.id is None and (layout := _layout(request, json_length, len(body))) is not None:
            _remember(self._layouts, head, layout)
        return request

    def encode(self, request: InferRequest, results: Sequence[Array]) -> tuple[bytes, int | None]:
        """As openinference.encode does."""
        key = (request.outputs, request.binary, *(result.shape for result in results))
        frame = self._frames.get(key)
        if frame is None:
            found = self._frame(request, results)
            if found is None:
                return openinference.encode(request, results, self._slot.get().signature, self._slot.identity)
            frame = found
            _remember(self._frames, key, frame)
        head = frame.before_id
        if request.id is not None:
            head += b',"id":' + orjson.dumps(request.id)
        pieces = frame.pieces
        if len(pieces) == 1:
            head += pieces[0]
            return b"".join((head, *[result.tobytes() for result in results])), len(head)
        if len(pieces) == 2:
            return b"%b%b%b%b" % (head, pieces[0], _data(results[0]), pieces[1]), None
        parts = [head, pieces[0]]
        for result, piece in zip(results, pieces[1:], strict=True):
            parts += (_data(result), piece)
        return b"".join(parts), None

    def _frame(self, request: InferRequest, results: Sequence[Array]) -> _Frame | None:
        """The frame of this answer and all of the same shapes, where all outputs go one way and none is text."""
        if any(result.dtype.kind not in "fiub" or result.dtype.itemsize == 2 for result in results):
            return None
        if request.binary and len(request.binary) != len(request.outputs):
            return None
        known, identity = self._slot.get().signature.outputs, self._slot.identity
        outputs = []
        for name, result in zip(request.outputs, results, strict=True):
            output: dict[str, Any] = {
                "name": name,
                "datatype": known[name].datatype.name,
                "shape": result.shape,
            }
            if request.binary:
                output["parameters"] = {"binary_data_size": result.nbytes}
            else:
                output["data"] = _MARK
            outputs.append(output)
        before = orjson.dumps({"model_name": identity.name, "model_version": identity.version})[:-1]
        pieces = (b"," + orjson.dumps({"outputs": outputs})[1:]).split(b"%d" % _MARK)
        wanted = 1 if request.binary else len(results) + 1
        return _Frame(before, tuple(pieces)) if len(pieces) == wanted else None


def _cut(body: bytes, layout: _Layout) -> InferRequest:
    feeds = {}
    for name, dtype, shape, elements, offset in layout.parts:
        tensor = np.frombuffer(body, dtype, elements, offset).reshape(shape)
        feeds[name] = tensor if tensor.flags.aligned else tensor.copy()
    known = layout.request
    return InferRequest(None, feeds, known.outputs, known.binary, raw=False, timeout=known.timeout)


def _layout(request: InferRequest, json_length: int, length: int) -> _Layout | None:
    """The layout of a request that was read, where every tensor lay behind the JSON part and is cut out by size."""
    parts, offset = [], json_length
    for name, tensor in request.feeds.items():
        if tensor.dtype.kind not in "fiu":
            return None
        parts.append(_Part(name, tensor.dtype, tensor.shape, tensor.size, offset))
        offset += tensor.nbytes
    if offset != length:
        return None
    return _Layout(tuple(parts), length, request._replace(feeds={}))


def _data(result: Array) -> bytes:
    return orjson.dumps(result.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _remember(known: dict[Any, Any], key: object, value: object) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value
