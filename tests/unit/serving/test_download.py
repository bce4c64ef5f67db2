"""Does a remote file come whole or not at all, whatever happens on the way?"""

import hashlib
import io
from collections.abc import Generator
from pathlib import Path

import pytest
from loadline_contracts.conditions import Reason
from loadline_serving import patience
from loadline_serving.download import Stream, download
from loadline_serving.errors import StartupFault
from loadline_serving.patience import ATTEMPTS, UnreachableError
from loadline_serving.screen import Screen
from typing_extensions import override

CONTENT = bytes(range(256)) * 4


class Elsewhere:
    """A remote file in memory, whose connection breaks after so many bytes, once for each number."""

    name = "https://elsewhere/model.onnx"

    def __init__(self, content: bytes = CONTENT, *, tag: str | None = '"1"', breaks: tuple[int, ...] = ()) -> None:
        self.content = content
        self.tag = tag
        self.breaks = list(breaks)
        self.asked: list[int] = []
        self.tells_size = True

    def open(self, start: int, tag: str | None) -> Stream:
        begin = start if tag is not None and tag == self.tag else 0
        self.asked.append(begin)
        whole = len(self.content) if self.tells_size else None
        return Stream(start=begin, size=whole, tag=self.tag, pieces=self._pieces(begin))

    def _pieces(self, begin: int) -> Generator[bytes, None, None]:
        stop = begin + self.breaks.pop(0) if self.breaks else len(self.content)
        for at in range(begin, min(stop, len(self.content)), 100):
            yield self.content[at : min(at + 100, stop)]
        if stop < len(self.content):
            raise UnreachableError("connection reset")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is shown; and nobody waits long between attempts."""
    monkeypatch.setattr(patience, "FIRST_DELAY", 0.001)
    return io.StringIO()


def bring(remote: Elsewhere, folder: Path, told: io.StringIO, sha256: str | None = None) -> bytes:
    target = folder / "deep" / "model.onnx"
    download(remote, target, sha256=sha256, screen=Screen(told))
    return target.read_bytes()


def there(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"model.onnx.lock", "model.onnx.origin"}


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_file_arrives_as_it_is(tmp_path: Path, told: io.StringIO, tells_size: bool) -> None:
    remote = Elsewhere()
    remote.tells_size = tells_size
    assert bring(remote, tmp_path, told) == CONTENT
    assert there(tmp_path) == {"model.onnx"}
    assert "Downloaded https://elsewhere/model.onnx: 1.0 kB" in told.getvalue()


def test_a_broken_connection_goes_on_where_it_was(tmp_path: Path, told: io.StringIO) -> None:
    remote = Elsewhere(breaks=(300, 300))
    assert bring(remote, tmp_path, told) == CONTENT
    assert remote.asked == [0, 300, 600]
    assert "connection reset; trying again in" in told.getvalue()


def test_an_interrupted_download_goes_on_the_next_time(tmp_path: Path, told: io.StringIO) -> None:
    with pytest.raises(StartupFault):
        bring(Elsewhere(breaks=(300, *[0] * ATTEMPTS)), tmp_path, told)
    assert there(tmp_path) == {"model.onnx.partial"}
    remote = Elsewhere()
    assert bring(remote, tmp_path, told) == CONTENT
    assert remote.asked == [300]


@pytest.mark.parametrize("tag", [None, '"2"'], ids=["a file without a tag", "another file meanwhile"])
def test_what_may_be_another_file_begins_anew(tmp_path: Path, told: io.StringIO, tag: str | None) -> None:
    with pytest.raises(StartupFault):
        bring(Elsewhere(b"x" * 2000, breaks=(300, *[0] * ATTEMPTS)), tmp_path, told)
    remote = Elsewhere(tag=tag, breaks=(100,))
    assert bring(remote, tmp_path, told) == CONTENT
    assert remote.asked[0] == 0


def test_a_remote_that_stays_away_is_given_up_and_nothing_half_has_the_name(tmp_path: Path, told: io.StringIO) -> None:
    with pytest.raises(StartupFault, match=f"connection reset; given up after {ATTEMPTS} attempts") as caught:
        bring(Elsewhere(breaks=(0,) * ATTEMPTS), tmp_path, told)
    assert caught.value.reason is Reason.SOURCE_UNAVAILABLE
    assert "model.onnx" not in there(tmp_path)


def test_a_file_that_ends_early_is_not_taken(tmp_path: Path, told: io.StringIO) -> None:
    class Short(Elsewhere):
        @override
        def _pieces(self, begin: int) -> Generator[bytes, None, None]:
            yield from [self.content[begin:1000]] if begin < 1000 else []

    with pytest.raises(StartupFault, match="it ended after 1000 of 1024 bytes"):
        bring(Short(), tmp_path, told)
    assert "model.onnx" not in there(tmp_path)


def test_a_file_that_is_not_the_promised_one_is_thrown_away(tmp_path: Path, told: io.StringIO) -> None:
    with pytest.raises(StartupFault, match="not the file that was promised") as caught:
        bring(Elsewhere(), tmp_path, told, sha256="0" * 64)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert there(tmp_path) == set()


def test_a_promised_file_that_is_there_is_not_asked_for(tmp_path: Path, told: io.StringIO) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    remote = Elsewhere()
    assert bring(remote, tmp_path, told, digest) == bring(remote, tmp_path, told, digest) == CONTENT
    assert remote.asked == [0]


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path, told: io.StringIO) -> None:
    bring(Elsewhere(), tmp_path, told)
    bring(Elsewhere(breaks=(0,) * ATTEMPTS), tmp_path, told)
    assert "has not changed" in told.getvalue()


def test_a_file_that_has_changed_takes_the_place_of_the_old(tmp_path: Path, told: io.StringIO) -> None:
    bring(Elsewhere(), tmp_path, told)
    assert bring(Elsewhere(b"new", tag='"2"'), tmp_path, told) == b"new"


def test_progress_is_shown_in_megabytes_and_percent(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        @override
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    bring(Elsewhere(b"x" * 4_000_000), tmp_path, terminal)
    assert "1.0 MB of 4.0 MB (25 %)" in terminal.getvalue()


def test_two_processes_do_not_write_the_same_file(tmp_path: Path, told: io.StringIO) -> None:
    class Greedy(Elsewhere):
        @override
        def open(self, start: int, tag: str | None) -> Stream:
            bring(Elsewhere(), tmp_path, told)
            return super().open(start, tag)

    with pytest.raises(StartupFault, match="another process downloads to"):
        bring(Greedy(), tmp_path, told)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, told: io.StringIO) -> None:
    (tmp_path / "deep").write_text("a file in the way")
    with pytest.raises(StartupFault, match="name another folder in LOADLINE_CACHE_DIR"):
        bring(Elsewhere(), tmp_path, told)
