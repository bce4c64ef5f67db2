"""Limits that are too low for several clusters are raised, others left alone."""

from pathlib import Path

import pytest
from loadline_cluster import kernel, paths
from loadline_cluster.errors import ClusterToolError


@pytest.fixture
def low_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel with one limit that is too low, and one that is more than enough."""
    for name, value in {"max_user_instances": "128", "max_user_watches": "9999999"}.items():
        (paths.made(tmp_path / "fs/inotify") / name).write_text(value)
    monkeypatch.setattr(kernel, "FOLDER", tmp_path)
    return tmp_path / "fs/inotify"


def test_root_raises_what_is_too_low_and_nothing_else(low_limits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert kernel.ensure() == ["fs.inotify.max_user_instances raised to 1024"]
    assert (low_limits / "max_user_watches").read_text() == "9999999"


def test_another_user_is_told_the_command(low_limits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ClusterToolError, match=r"sudo sysctl -w fs.inotify.max_user_instances=1024"):
        kernel.ensure()
    assert (low_limits / "max_user_instances").read_text() == "128"
