"""What does an ONNX file say of itself, read without a runtime and without its weights?

ONNX's own Python package would more than double what this needs; here are the few fields of `onnx.proto` that tell
versions, operators and external files, read from the protobuf wire format. Weights are skipped, never read.
"""

import mmap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from typing_extensions import Buffer, override

STANDARD_DOMAIN = "ai.onnx"
"""The domain that ONNX files also write as nothing at all."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 100
# Field numbers of onnx.proto, by message.
_MODEL_IR, _MODEL_PRODUCER, _MODEL_PRODUCER_VERSION, _MODEL_GRAPH, _MODEL_OPSET, _MODEL_FUNCTION = 1, 2, 3, 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN = 1, 7, 10
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 5, 6, 11
_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


class NotProtobufError(ValueError):
    """The bytes are no protobuf message, or end too early."""


class Operator(NamedTuple):
    """What a node of the graph does."""

    domain: str
    name: str

    @override
    def __str__(self) -> str:
        return self.name if self.domain == STANDARD_DOMAIN else f"{self.domain}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Outline:
    """An ONNX file without its weights."""

    ir_version: int
    producer: str
    opsets: Mapping[str, int]
    """The operator set's version by domain."""
    operators: Mapping[Operator, int]
    """How many nodes there are of each, those of inner graphs and functions included."""
    functions: frozenset[Operator]
    """Operators that the file itself defines."""
    external: frozenset[str]
    """The files, beside this one, that hold weights."""


def read_outline(path: Path) -> Outline:
    """The outline of a file; NotProtobufError where it is no ONNX file, or cut short."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise NotProtobufError("the file is empty")
        # Closed when nobody refers to it any more: an error's traceback refers to parts of it for longer than a `with`.
        return parse_outline(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def parse_outline(data: Buffer) -> Outline:
    """The outline of a model's bytes."""
    reader = _Reader()
    reader.model(memoryview(data))
    return Outline(
        ir_version=reader.ir_version,
        producer=" ".join(filter(None, reader.producer)),
        opsets=reader.opsets,
        operators=reader.operators,
        functions=frozenset(reader.functions),
        external=frozenset(reader.external),
    )


def missing_files(entry: Path, outline: Outline) -> Sequence[str]:
    """The external files that are not where the runtime looks for them: below the ONNX file's folder."""
    return sorted(name for name in outline.external if not (entry.parent / name).is_file())


class _Reader:
    """Collects what the messages of one file say."""

    def __init__(self) -> None:
        self.ir_version = 0
        self.producer = ["", ""]
        self.opsets: dict[str, int] = {}
        self.operators: Counter[Operator] = Counter()
        self.functions: set[Operator] = set()
        self.external: set[str] = set()

    def model(self, data: memoryview) -> None:
        graphs = 0
        for number, value in _fields(data):
            match number, value:
                case _, int():
                    self.ir_version = value if number == _MODEL_IR else self.ir_version
                case _ if number == _MODEL_PRODUCER:
                    self.producer[0] = _text(value)
                case _ if number == _MODEL_PRODUCER_VERSION:
                    self.producer[1] = _text(value)
                case _ if number == _MODEL_OPSET:
                    self._opset(value)
                case _ if number == _MODEL_FUNCTION:
                    self._function(value)
                case _ if number == _MODEL_GRAPH:
                    graphs += 1
                    self._graph(value, depth=0)
        if not graphs:
            raise NotProtobufError("there is no graph in it")

    def _opset(self, data: memoryview) -> None:
        fields = dict(_fields(data))
        version = fields.get(_OPSET_VERSION, 0)
        self.opsets[_domain(fields.get(_OPSET_DOMAIN))] = version if isinstance(version, int) else 0

    def _function(self, data: memoryview) -> None:
        names: dict[int, memoryview] = {}
        for number, value in _messages(data):
            if number == _FUNCTION_NODE:
                self._node(value, depth=0)
            else:
                names[number] = value
        self.functions.add(Operator(_domain(names.get(_FUNCTION_DOMAIN)), _text(names.get(_FUNCTION_NAME))))

    def _graph(self, data: memoryview, *, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise NotProtobufError(f"its graphs are nested deeper than {_MAX_DEPTH} levels")
        for number, value in _messages(data):
            if number == _GRAPH_NODE:
                self._node(value, depth=depth)
            elif number == _GRAPH_INITIALIZER:
                self._tensor(value)

    def _node(self, data: memoryview, *, depth: int) -> None:
        names: dict[int, memoryview] = {}
        for number, value in _messages(data):
            if number == _NODE_ATTRIBUTE:
                self._attribute(value, depth=depth)
            else:
                names[number] = value
        self.operators[Operator(_domain(names.get(_NODE_DOMAIN)), _text(names.get(_NODE_OPERATOR)))] += 1

    def _attribute(self, data: memoryview, *, depth: int) -> None:
        for number, value in _messages(data):
            if number in {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
                self._graph(value, depth=depth + 1)
            elif number == _ATTRIBUTE_TENSOR:
                self._tensor(value)

    def _tensor(self, data: memoryview) -> None:
        for number, value in _messages(data):
            if number == _TENSOR_EXTERNAL:
                entry = dict(_messages(value))
                if _text(entry.get(_ENTRY_KEY)) == "location":
                    self.external.add(_text(entry.get(_ENTRY_VALUE)))


def _domain(data: memoryview | int | None) -> str:
    return (_text(data) if isinstance(data, memoryview) else "") or STANDARD_DOMAIN


def _text(data: memoryview | None) -> str:
    return bytes(data or b"").decode(errors="replace")


def _messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields that have a length: texts and inner messages."""
    for number, value in _fields(data):
        if isinstance(value, memoryview):
            yield number, value


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Every field of a message: its number, and its varint or its bytes. Fixed-width numbers are left out."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
        elif kind == _LENGTH:
            length, position = _varint(data, position)
            if length > end - position:
                raise NotProtobufError("it is cut short")
            yield number, data[position : position + length]
            position += length
        elif kind in {_FIXED64, _FIXED32}:
            position += 8 if kind == _FIXED64 else 4
        else:
            raise NotProtobufError("it is not in protobuf's format")
    if position != end:
        raise NotProtobufError("it is cut short")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if position >= len(data):
            raise NotProtobufError("it is cut short")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise NotProtobufError("it is not in protobuf's format")
