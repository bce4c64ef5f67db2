"""Which results are called old, in a repository made for the purpose."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from loadline_results.age import judge
from loadline_results.machine import Machine
from loadline_results.repository import Repository
from loadline_results.result import Result

MACHINE = Machine(processor="some", cores=2, memory_gib=24, system="Linux 6")


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.test", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root: Path, path: str, content: str) -> str:
    place = root / path
    place.parent.mkdir(exist_ok=True)
    place.write_text(content)
    git(root, "add", path)
    git(root, "commit", "-q", "-m", f"Change {path}")
    return git(root, "rev-parse", "HEAD")


def result_of(commit_hash: str, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "name": "zero-loss",
        "claim": "Nothing fails.",
        "form": "long",
        "wanted_runs": 1,
        "command": "make test-long",
        "commit": commit_hash,
        "uncommitted": False,
        "paths": ("operators",),
        "machine": MACHINE,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "runs": ({"failed": 0},),
    }
    return Result(**(values | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def test_a_result_of_the_present_code_holds(root: Path) -> None:
    head = commit(root, "operators/plan.py", "1")
    assert judge(result_of(head), Repository(root)).holds


def test_a_change_elsewhere_leaves_a_result_as_it_is(root: Path) -> None:
    measured = commit(root, "operators/plan.py", "1")
    commit(root, "docs/page.md", "1")
    assert judge(result_of(measured), Repository(root)).holds


def test_a_later_change_of_the_named_paths_makes_a_result_old_and_is_named(root: Path) -> None:
    measured = commit(root, "operators/plan.py", "1")
    commit(root, "operators/plan.py", "2")
    verdict = judge(result_of(measured), Repository(root))
    assert "Change operators/plan.py" in verdict.faults[0]


def test_a_result_of_another_history_is_old(root: Path) -> None:
    commit(root, "operators/plan.py", "1")
    assert "not in this history" in judge(result_of("0" * 40), Repository(root)).faults[0]


def test_a_result_with_runs_left_says_how_many_were_made(root: Path) -> None:
    head = commit(root, "operators/plan.py", "1")
    verdict = judge(result_of(head, wanted_runs=10), Repository(root))
    assert verdict.faults == ("1 of 10 runs were made",)


def test_a_result_of_code_that_no_commit_holds_is_not_trusted(root: Path) -> None:
    head = commit(root, "operators/plan.py", "1")
    assert not judge(result_of(head, uncommitted=True), Repository(root)).holds
