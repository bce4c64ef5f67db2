"""What does the model take and give, and does a tensor fit it?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from loadline_serving.datatypes import Datatype
from loadline_serving.errors import BadRequestError, UnsupportedOutputError

_MOST_OF_NOTHING = 2**40
"""How large the other dimensions of a tensor without elements may be: numpy refuses what no memory could hold."""
VARIABLE = -1
"""How the protocol writes a dimension of any length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """One input or output of the model."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    """Lengths of the dimensions, -1 where any length will do."""

    def expect(self, datatype: object, shape: object) -> int:
        """The number of elements of a tensor of this datatype and shape, if the input takes it."""
        if datatype != self.datatype.name:
            raise BadRequestError(
                f"input '{self.name}' has datatype {datatype!r}; the model expects {self.datatype.name}"
            )
        if not isinstance(shape, list) or len(shape) != len(self.shape):
            raise self._wrong_shape(shape)
        count = 1
        for position, expected in enumerate(self.shape):
            length = shape[position]
            if type(length) is not int or length < 0 or expected not in (length, VARIABLE):
                raise self._wrong_shape(shape)
            count *= length
        if not count and prod(filter(None, shape)) > _MOST_OF_NOTHING:
            raise self._wrong_shape(shape)
        return count

    def expect_count(self, count: int, shape: Sequence[int], expected: int) -> None:
        """Refuse data that does not fill its shape."""
        if count != expected:
            raise BadRequestError(f"input '{self.name}' has {count} elements; its shape {list(shape)} holds {expected}")

    def _wrong_shape(self, shape: object) -> BadRequestError:
        return BadRequestError(
            f"input '{self.name}' has shape {shape}; the model expects {list(self.shape)} (-1: any length)"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """All inputs and outputs, in the model's order."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    untransferable: Mapping[str, str]
    """Outputs that the protocol has no form for, with the type that ONNX gives them."""
    all_outputs: tuple[str, ...]
    columns: tuple[str, ...] = ()
    """What the columns of a single table input are called; empty where nobody says."""

    def input(self, name: object, taken: Collection[str]) -> TensorSpec:
        """The input of that name, unless it is unknown or there twice."""
        if not isinstance(name, str) or name not in self.inputs:
            raise BadRequestError(f"the model has no input {name!r}; it has {_names(self.inputs)}")
        if name in taken:
            raise BadRequestError(f"input '{name}' is there twice")
        return self.inputs[name]

    def expect_all(self, taken: Collection[str]) -> None:
        """Refuse a request that leaves inputs out."""
        if len(taken) != len(self.inputs):
            missing = [name for name in self.inputs if name not in taken]
            raise BadRequestError(f"missing input {_names(missing)}")

    def wanted(self, names: Sequence[object]) -> tuple[str, ...]:
        """The outputs to compute: those that are asked for, or all."""
        if not names and not self.untransferable:
            return self.all_outputs
        for name in names:
            if name not in self.all_outputs:
                raise BadRequestError(f"the model has no output {name!r}; it has {_names(self.all_outputs)}")
        wanted = tuple(str(name) for name in names) or self.all_outputs
        if len(set(wanted)) != len(wanted):
            raise BadRequestError(f"an output is asked for twice among {_names(wanted)}")
        for name in wanted:
            if name in self.untransferable:
                raise UnsupportedOutputError(
                    f"output '{name}' is of ONNX type {self.untransferable[name]}, which the protocol has no form for; "
                    f"ask for {_names(self.outputs)} by name"
                )
        return wanted


def _names(names: Collection[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
