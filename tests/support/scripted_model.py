"""A model that does what a test says: it stands in where a real one could not be made slow, or wrong, at will."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from loadline_serving.datatypes import DATATYPES, Array
from loadline_serving.signature import Signature, TensorSpec

Run = Callable[[Mapping[str, Array]], list[Array]]


def _spec(name: str) -> TensorSpec:
    return TensorSpec(name=name, datatype=DATATYPES["FP32"], shape=(-1, 2))


class ScriptedModel:
    """Takes `x` and gives `y`, both FP32 of shape [-1, 2]; `runs` holds the rows of each run."""

    def __init__(self, run: Run = lambda feeds: [feeds["x"] * 2]) -> None:
        self._run = run
        self.runs: list[int] = []

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        return Signature(inputs={"x": _spec("x")}, outputs={"y": _spec("y")}, untransferable={}, all_outputs=("y",))

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Compute as the test says."""
        assert tuple(outputs) == ("y",)
        self.runs.append(len(feeds["x"]))
        return self._run(feeds)


def rows(first: float, count: int = 1) -> Array:
    """Rows that tell themselves apart: their first number is given, and counts up."""
    return np.array([[first + row, 1] for row in range(count)], np.float32)
