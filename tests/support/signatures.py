"""Signatures made by hand, so that a codec is tested without a runtime."""

from collections.abc import Mapping

from loadline_serving.datatypes import DATATYPES
from loadline_serving.inference import Identity
from loadline_serving.signature import Signature, TensorSpec

IDENTITY = Identity(name="m", version="3")

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]


def signature(inputs: Shapes, outputs: Shapes) -> Signature:
    """A signature from datatype and shape by name."""
    return Signature(inputs=_specs(inputs), outputs=_specs(outputs), untransferable={}, all_outputs=tuple(outputs))


def _specs(shapes: Shapes) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(name=name, datatype=DATATYPES[datatype], shape=shape)
        for name, (datatype, shape) in shapes.items()
    }
