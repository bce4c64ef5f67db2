"""Whether the serving image reads what the operator writes, and has the defaults that the operator leaves out."""

import pytest
from loadline_contracts.modeldeployment import Runtime
from loadline_operators.modeldeployment.children import runtime_environment
from loadline_serving.settings import ServeSettings

DEFAULTS = runtime_environment(Runtime())


@pytest.mark.parametrize("variable", DEFAULTS)
def test_serving_reads_each_variable_by_which_pods_hear_of_the_runtime(variable: str) -> None:
    assert variable.removeprefix("LOADLINE_").lower() in ServeSettings.model_fields


def test_serving_that_hears_nothing_does_what_the_defaults_of_the_spec_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLINE_MODEL_NAME", "m")
    silent = ServeSettings.read()
    for variable, value in DEFAULTS.items():
        monkeypatch.setenv(variable, value)

    assert ServeSettings.read() == silent
