"""Do a model's errors say what a person can act on?"""

import pytest
from loadline_contracts.conditions import Reason
from loadline_operators.model_errors import ModelError, TransientError


def kinds(of: type[ModelError]) -> list[type[ModelError]]:
    return [found for kind in of.__subclasses__() for found in (kind, *kinds(kind))]


@pytest.mark.parametrize("kind", [kind for kind in kinds(ModelError) if kind is not TransientError])
def test_the_reason_of_every_error_is_one_that_a_condition_may_have(kind: type[ModelError]) -> None:
    assert Reason(kind.reason)
