"""A measurement of many parts goes on where it was cut off, and says which parts are old."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from loadline_results import lines
from loadline_results.lines import Line
from loadline_results.machine import Machine
from loadline_results.repository import Repository

MACHINE = Machine(processor="some", cores=2, memory_gib=24, system="Linux 6")


def commit(root: Path, path: str, content: str) -> str:
    place = root / path
    place.parent.mkdir(exist_ok=True)
    place.write_text(content)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.test", "-c", "commit.gpgsign=false"]
    for words in (["add", path], ["commit", "-q", "-m", f"Change {path}"]):
        subprocess.run(["git", *identity, *words], cwd=root, check=True)
    return Repository(root).head()


def line(commit_hash: str, *, uncommitted: bool = False, number: int = 1) -> Line:
    return Line(
        round=number,
        measured=datetime(2026, 1, 1, tzinfo=UTC),
        commit=commit_hash,
        uncommitted=uncommitted,
        paths=("serving",),
        machine=MACHINE,
        figures={"cpu_us": 1.5},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_lines_are_in_the_file_as_soon_as_they_are_measured(tmp_path: Path) -> None:
    file = tmp_path / "results" / "cells.jsonl"
    for number in (1, 2):
        lines.append(file, line("abc", number=number))
        assert lines.read(file)[-1] == line("abc", number=number)


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert lines.read(tmp_path / "cells.jsonl") == []


def test_lines_hold_while_only_other_code_changes(root: Path) -> None:
    head = commit(root, "serving/a.py", "1")
    commit(root, "docs/page.md", "1")
    assert lines.judge("cells", [line(head)], Repository(root)).holds


def test_lines_of_older_code_are_counted_and_the_change_is_named(root: Path) -> None:
    old = commit(root, "serving/a.py", "1")
    new = commit(root, "serving/a.py", "2")
    verdict = lines.judge("cells", [line(old), line(old), line(new)], Repository(root))
    assert verdict.faults[0].startswith("2 of 3 lines")
    assert "Change serving/a.py" in verdict.faults[0]


def test_only_lines_of_this_code_need_not_be_measured_again(root: Path) -> None:
    old = commit(root, "serving/a.py", "1")
    new = commit(root, "serving/a.py", "2")
    known = [line(old), line(new), line(new, uncommitted=True), line("0" * 40)]
    assert lines.of_this_code(known, Repository(root)) == [line(new)]


def test_lines_that_are_not_kept_leave_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cells.jsonl"
    for number in (1, 2):
        lines.append(file, line("abc", number=number))
    lines.keep(file, [line("abc", number=2)])
    assert lines.read(file) == [line("abc", number=2)]
