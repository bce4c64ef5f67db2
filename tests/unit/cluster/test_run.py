"""A command that fails says its own words; one that hangs is ended."""

import time
from pathlib import Path

import pytest
from loadline_cluster.errors import CommandFailedError, MissingProgramError
from loadline_cluster.run import run, succeeds


def test_a_command_gives_what_it_printed() -> None:
    assert run(["echo", "hello"], deadline=10) == "hello\n"


def test_a_command_reads_text_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("from a file")
    assert run(["cat"], deadline=10, stdin="as text") == "as text"
    assert run(["cat"], deadline=10, stdin=tmp_path / "input") == "from a file"


def test_a_command_without_input_reads_nothing() -> None:
    assert run(["cat"], deadline=10) == ""


def test_a_failure_names_the_command_its_last_words_and_the_remedy() -> None:
    with pytest.raises(CommandFailedError) as failure:
        run(["sh", "-c", "echo the disk is full >&2; exit 3"], deadline=10, remedy="make room")
    message = str(failure.value)
    assert "sh -c" in message
    assert "ended with status 3" in message
    assert "the disk is full" in message
    assert "What to do: make room" in message


def test_a_command_past_its_deadline_is_ended_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(CommandFailedError, match="deadline of 1 s"):
        run(["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 60 & wait"], deadline=1)
    assert time.monotonic() - started < 10
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_a_program_that_is_absent_is_named_with_what_to_do() -> None:
    with pytest.raises(MissingProgramError, match="No loadline-no-such-program on this machine"):
        run(["loadline-no-such-program"], deadline=10)


def test_whether_a_command_succeeds_is_asked_without_an_error() -> None:
    assert succeeds(["true"], deadline=10)
    assert not succeeds(["false"], deadline=10)
    assert not succeeds(["loadline-no-such-program"], deadline=10)
