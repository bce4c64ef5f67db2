"""A fingerprint changes exactly when what it covers changes."""

from pathlib import Path

from loadline_cluster import fingerprint


def test_the_same_contents_have_the_same_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("a")
    assert fingerprint.of(tmp_path / "here") == fingerprint.of(tmp_path / "there")


def test_a_renamed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a")
    before = fingerprint.of(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert fingerprint.of(tmp_path) != before


def test_a_file_that_becomes_executable_changes_the_fingerprint(tmp_path: Path) -> None:
    script = tmp_path / "run"
    script.write_text("#!/bin/sh")
    before = fingerprint.of(tmp_path)
    script.chmod(0o755)
    assert fingerprint.of(tmp_path) != before


def test_caches_of_python_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a")
    before = fingerprint.of(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert fingerprint.of(tmp_path) == before


def test_text_that_moves_from_one_part_to_the_next_changes_the_fingerprint() -> None:
    assert fingerprint.of("ab", "c") != fingerprint.of("a", "bc")
