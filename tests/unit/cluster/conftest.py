"""The tool's own folder is a temporary one in these tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLINE_CACHE", str(tmp_path / "cache"))
