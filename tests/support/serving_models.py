"""The models that whole-system tests serve, registered once for all of them."""

import secrets
from dataclasses import dataclass

from support import onnx_models
from support.mlflow_registry import Mlflow

ROWS = [[1.0, 2.0, 3.0, 4.0]]
ROW_SUM = 10.0


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A model with two versions whose answers differ."""

    name: str
    versions: tuple[str, str]
    alias: str = "champion"

    @property
    def by_alias(self) -> str:
        """The URI that follows the alias."""
        return f"models:/{self.name}@{self.alias}"

    def version(self, index: int) -> str:
        """The URI of the first (0) or the second (1) version."""
        return f"models:/{self.name}/{self.versions[index]}"

    def answer(self, index: int) -> float:
        """What that version answers to ROWS."""
        return ROW_SUM * FACTORS[index]


FACTORS = (1.0, 2.0)


def register_pair(mlflow: Mlflow, stem: str) -> Registered:
    """Register a model of two versions under a name that no other run has; the alias points at the first."""
    name = f"{stem}-{secrets.token_hex(3)}"
    first, second = (mlflow.register(name, onnx_models.linear(factor)) for factor in FACTORS)
    model = Registered(name=name, versions=(first, second))
    mlflow.set_alias(name, model.alias, first)
    return model
