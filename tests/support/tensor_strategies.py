"""Tensors of every datatype, for properties of codecs."""

from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from loadline_serving.datatypes import DATATYPES, Array


def tensors(datatype: str) -> st.SearchStrategy[Array]:
    """Arrays of two dimensions, some of them empty; floats are finite, as JSON's are."""
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4)
    dtype = DATATYPES[datatype].numpy
    if datatype == "BYTES":
        return hnp.arrays(dtype, shapes, elements=st.text(), fill=st.just(""))
    if dtype.kind == "f":
        elements = st.floats(width=dtype.itemsize * 8, allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
        return hnp.arrays(dtype, shapes, elements=elements)
    return hnp.arrays(dtype, shapes)
