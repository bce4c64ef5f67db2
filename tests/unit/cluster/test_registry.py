"""Where an image would be pulled from is decided without asking when a person has said so."""

import pytest
from loadline_cluster import registry


def test_a_person_can_say_that_nothing_is_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLINE_REGISTRY", "none")
    assert registry.source("docker.io/library/busybox:1") is None
