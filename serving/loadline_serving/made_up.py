"""Which inputs can be made up for a signature, when there is no caller's to be had?"""

import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from loadline_serving.datatypes import Array
from loadline_serving.signature import VARIABLE, Signature, TensorSpec

# Lengths tried in turn for dimensions of any length: a convolution takes no 1x1 picture, most others do.
_LENGTHS = (1, 8, 32, 224)
_WORDS = np.array(["a", "b", "c"], object)
_SEED = 20_000

Feeds = dict[str, Array]
Shape = tuple[int, ...]


def blank_inputs(signature: Signature, *, rows: int = 1) -> Iterator[Feeds]:
    """Zeros and empty strings, in shapes that grow until the model is content: whoever asks stops when it is."""
    return _inputs(signature, rows, _blank)


def varied_inputs(signature: Signature, *, rows: int = 1) -> Iterator[Feeds]:
    """Values that differ from row to row, the same each time; the shapes grow as those of blank inputs do.

    Integers are 0 and 1, since many a model looks them up in a table.
    """
    # One source for all rows: a generator that began anew for each tensor would make its inputs equal.
    random = np.random.default_rng(_SEED)  # not for secrets: made-up rows should be the same each time
    return _inputs(signature, rows, lambda spec, shape: _varied(spec, shape, random))


def _inputs(signature: Signature, rows: int, make: Callable[[TensorSpec, Shape], Array]) -> Iterator[Feeds]:
    seen: set[tuple[Shape, ...]] = set()
    for length in _LENGTHS:
        shapes = {spec.name: _shape(spec.shape, rows, length) for spec in signature.inputs.values()}
        if (known := tuple(shapes.values())) in seen:
            return
        seen.add(known)
        yield {spec.name: make(spec, shapes[spec.name]) for spec in signature.inputs.values()}


def _shape(shape: Shape, rows: int, length: int) -> Shape:
    """The first dimension, where any length will do, is the batch and holds the rows; the others get the length."""
    first = (rows,) if shape[:1] == (VARIABLE,) else ()
    lengths = itertools.chain(first, itertools.repeat(length))
    return tuple(next(lengths) if dimension == VARIABLE else dimension for dimension in shape)


def _blank(spec: TensorSpec, shape: Shape) -> Array:
    fill = "" if spec.datatype.name == "BYTES" else 0
    return np.full(shape, fill, spec.datatype.numpy)


def _varied(spec: TensorSpec, shape: Shape, random: np.random.Generator) -> Array:
    if spec.datatype.name == "BYTES":
        words: Array = random.choice(_WORDS, shape)
        return np.asarray(words, object)
    if spec.datatype.numpy.kind == "f":
        return np.asarray(random.uniform(-1, 1, shape), spec.datatype.numpy)
    return np.asarray(random.integers(0, 2, shape), spec.datatype.numpy)


def row_of(feeds: Mapping[str, Array], row: int) -> Feeds:
    """One row of every input, still with its batch dimension."""
    return {name: array[row : row + 1] for name, array in feeds.items()}
