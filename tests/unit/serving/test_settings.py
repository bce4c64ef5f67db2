"""Does a wrong environment say which variable is wrong?"""

import pytest
from loadline_contracts.conditions import Reason
from loadline_serving.errors import StartupFault
from loadline_serving.settings import FetchSettings, ServeSettings


def test_all_wrong_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLINE_MODEL_NAME", "a/b")
    monkeypatch.setenv("LOADLINE_THREADS", "many")
    monkeypatch.setenv("LOADLINE_MODEL_DIGEST", "md5:1")
    with pytest.raises(StartupFault) as caught:
        ServeSettings.read()
    assert caught.value.reason is Reason.BAD_SETTINGS
    for variable in ("LOADLINE_MODEL_NAME", "LOADLINE_THREADS", "LOADLINE_MODEL_DIGEST"):
        assert variable in caught.value.message


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(StartupFault, match="LOADLINE_STORE_URL: Field required"):
        FetchSettings.read()


def test_defaults_are_those_of_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLINE_MODEL_NAME", "fraud")
    settings = ServeSettings.read()
    assert (settings.http_port, settings.grpc_port, settings.metrics_port) == (8080, 8081, 9090)
    assert (settings.threads, settings.grace_seconds, settings.drain_quiet_seconds) == (1, 60, 5)
