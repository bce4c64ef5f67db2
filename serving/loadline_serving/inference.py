"""What happens between a parsed request and its answer, whichever protocol it came by?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from loadline_serving.datatypes import Array
from loadline_serving.errors import ModelNotFoundError, NotReadyError
from loadline_serving.pace import Pace
from loadline_serving.signature import Signature


class InferRequest(NamedTuple):
    """Validated tensors by input name, and what to answer with. (A named tuple is made faster than a dataclass.)"""

    id: str | None
    feeds: Mapping[str, Array]
    outputs: tuple[str, ...]
    """The outputs to compute, in the order of the answer."""
    binary: frozenset[str] = frozenset()
    """Those that go out as bytes behind the JSON part (HTTP)."""
    raw: bool = False
    """Whether the tensors came as raw bytes, and so are answered as raw bytes (gRPC)."""
    timeout: float | None = None
    """Seconds within which the caller wants the answer, where the message says so."""


class Model(Protocol):
    """A loaded model."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Compute the outputs; raises InferenceFailedError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Which model version this process serves."""

    name: str
    version: str

    def expect(self, name: str, version: str | None = None) -> None:
        """Refuse another model's name, and another version's where one is given."""
        if name != self.name:
            raise ModelNotFoundError(f"no model '{name}' here; this server has '{self.name}'")
        if version and version != self.version:
            raise ModelNotFoundError(f"no version '{version}' of model '{name}' here; this server has '{self.version}'")


class Slot:
    """Where the model is put once it is loaded and warm."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._model: Model | None = None
        self.pace = Pace(inline=True, rows=1)

    @property
    def filled(self) -> bool:
        """Whether there is a model to ask."""
        return self._model is not None

    def put(self, model: Model, pace: Pace | None = None) -> None:
        """From now on requests are answered by this model, at this pace (without one: each alone, in the loop)."""
        self.pace = pace or self.pace
        self._model = model

    def get(self) -> Model:
        """The model, or the error that says it is not there yet."""
        if self._model is None:
            raise NotReadyError(f"model '{self.identity.name}' is not ready: it is still loading")
        return self._model
