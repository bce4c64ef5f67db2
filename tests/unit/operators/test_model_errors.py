"""Do a model's errors say what a person can act on?"""

from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from loadline_contracts.conditions import Reason
from loadline_operators.model_errors import ModelError, ModelTooLargeError, SourceRefusedError, TransientError

VALUES = Path(__file__).parents[3] / "charts" / "loadline" / "values.yaml"


def kinds(of: type[ModelError]) -> list[type[ModelError]]:
    return [found for kind in of.__subclasses__() for found in (kind, *kinds(kind))]


@pytest.mark.parametrize("kind", [kind for kind in kinds(ModelError) if kind is not TransientError])
def test_the_reason_of_every_error_is_one_that_a_condition_may_have(kind: type[ModelError]) -> None:
    assert Reason(kind.reason)


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (ModelTooLargeError("The model", 2, 1), "operator.maxModelBytes"),
        (SourceRefusedError("s3://bucket/model.onnx", "no access"), "modelFiles.s3.existingSecret"),
    ],
)
def test_a_remedy_in_the_operators_configuration_is_named_as_the_value_of_the_chart(
    error: ModelError, value: str
) -> None:
    values: Any = yaml.safe_load(VALUES.read_text())
    assert value in str(error)
    assert reduce(lambda found, key: found[key], value.split("."), values) is not None
