"""A result file grows by whole runs, and a run that was cut off goes on where it stood."""

import subprocess
from pathlib import Path

import pytest
from loadline_results.result import FOLDER, Recording, read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.test", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, check=True)

    git("init", "-q")
    (tmp_path / "code").write_text("1")
    git("add", "code")
    git("commit", "-q", "-m", "Begin")
    return tmp_path


def begin(root: Path, *, runs: int = 3) -> Recording:
    return Recording.begin(
        "arms", claim="Nothing fails.", form="long", wanted_runs=runs, paths=["code"], command="make", root=root
    )


def test_runs_are_in_the_file_as_soon_as_they_are_made(root: Path) -> None:
    begin(root).add({"failed": 0})
    found = read(root / FOLDER / "arms.json")
    assert found is not None
    assert found.runs == ({"failed": 0},)


def test_a_recording_that_was_cut_off_goes_on(root: Path) -> None:
    begin(root).add({"failed": 0})
    assert begin(root).runs_left == 2


def test_changed_code_begins_anew(root: Path) -> None:
    begin(root).add({"failed": 0})
    (root / "code").write_text("2")
    assert begin(root).runs_left == 3


def test_another_number_of_runs_begins_anew(root: Path) -> None:
    begin(root).add({"failed": 0})
    assert begin(root, runs=5).runs_left == 5
