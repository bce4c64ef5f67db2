"""Which data types do ONNX and the Open Inference Protocol share, and how is each written in every encoding?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Datatype:
    """One tensor element type."""

    name: str
    """The protocol's name."""
    onnx: str
    """ONNX Runtime's name for a tensor of it."""
    numpy: "np.dtype[Any]"
    """Its little-endian form; strings are Python objects."""
    code: str | None
    """The `array` type code that takes its JSON numbers, range checks included; None where there is none."""
    contents: str | None
    """The field of gRPC's typed contents that carries it; None where only raw bytes do."""


def _datatype(name: str, onnx: str, numpy: str, code: str | None, contents: str | None) -> Datatype:
    return Datatype(name=name, onnx=f"tensor({onnx})", numpy=np.dtype(numpy), code=code, contents=contents)


DATATYPES: Mapping[str, Datatype] = {
    datatype.name: datatype
    for datatype in (
        _datatype("BOOL", "bool", "?", None, "bool_contents"),
        _datatype("INT8", "int8", "<i1", "b", "int_contents"),
        _datatype("INT16", "int16", "<i2", "h", "int_contents"),
        _datatype("INT32", "int32", "<i4", "i", "int_contents"),
        _datatype("INT64", "int64", "<i8", "q", "int64_contents"),
        _datatype("UINT8", "uint8", "<u1", "B", "uint_contents"),
        _datatype("UINT16", "uint16", "<u2", "H", "uint_contents"),
        _datatype("UINT32", "uint32", "<u4", "I", "uint_contents"),
        _datatype("UINT64", "uint64", "<u8", "Q", "uint64_contents"),
        _datatype("FP16", "float16", "<f2", None, None),
        _datatype("FP32", "float", "<f4", "f", "fp32_contents"),
        _datatype("FP64", "double", "<f8", "d", "fp64_contents"),
        _datatype("BYTES", "string", "O", None, "bytes_contents"),
    )
}
BY_ONNX_TYPE: Mapping[str, Datatype] = {datatype.onnx: datatype for datatype in DATATYPES.values()}
