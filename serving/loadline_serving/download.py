"""How does a remote file come into a folder of this machine, whole or not at all?

It grows as `NAME.partial`, gets its name when it is complete, and goes on where it was cut off as long as the remote
says, by an entity tag, that it is still the same file.
"""

import fcntl
import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from loadline_contracts.conditions import Reason
from pydantic import BaseModel, ConfigDict, ValidationError

from loadline_serving.errors import StartupFault
from loadline_serving.patience import Patience, UnreachableError
from loadline_serving.screen import Screen, size


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A remote file that is being read."""

    start: int
    """Where its pieces begin: where was asked for, or 0 if that cannot be had any more."""
    size: int | None
    """The whole file's length; None where the remote does not tell."""
    tag: str | None
    """What changes when the file does; None where the remote does not tell."""
    pieces: Generator[bytes, None, None]
    """The bytes from `start`; raises UnreachableError when they stop coming."""


class Remote(Protocol):
    """A file somewhere else."""

    @property
    def name(self) -> str:
        """Its address, without anything secret."""

    def open(self, start: int, tag: str | None) -> Stream:
        """Read from a place on, if the file still has that tag; raises UnreachableError, or a StartupFault."""


class _Origin(BaseModel):
    """What was read into a file, kept beside it."""

    model_config = ConfigDict(frozen=True)

    tag: str | None
    size: int | None


def download(remote: Remote, target: Path, *, sha256: str | None, screen: Screen) -> None:
    """Bring the file; what is there and known to be the same is left alone."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            _Download(remote, target, sha256, screen).run()
    except OSError as error:
        raise StartupFault(
            Reason.MODEL_FILES_UNAVAILABLE,
            f"cannot write {target}: {error.strerror}; make room, or name another folder in LOADLINE_CACHE_DIR",
        ) from error


def sha256_of(path: Path) -> str:
    """The hex sha256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class _Download:
    def __init__(self, remote: Remote, target: Path, sha256: str | None, screen: Screen) -> None:
        self._remote = remote
        self._target = target
        self._partial = target.with_name(target.name + ".partial")
        self._origin = target.with_name(target.name + ".origin")
        self._sha256 = sha256
        self._screen = screen

    def run(self) -> None:
        if self._sha256 and self._target.is_file() and sha256_of(self._target) == self._sha256:
            self._screen.say(f"{self._remote.name} is already here: {self._target}")
            return
        patience = Patience(self._remote.name, self._screen.say)
        while True:
            before = self._so_far()
            try:
                changed = self._bring()
            except UnreachableError as error:
                if self._so_far() > before:
                    patience.renew()
                patience.wait(error)
            else:
                self._finish(changed=changed)
                return

    def _bring(self) -> bool:
        """Read what is missing into the partial file; False if the target is already the same."""
        known = self._known()
        start = self._so_far() if known.tag else 0
        stream = self._remote.open(start, known.tag if start else None)
        with closing(stream.pieces):
            if not start and self._is_same(known, stream):
                return False
            if not stream.start:
                self._begin_anew(stream)
            with self._partial.open("ab") as out:
                self._pour(stream, out)
        return True

    def _is_same(self, known: _Origin, stream: Stream) -> bool:
        there = self._target.is_file() and not self._partial.exists()
        return there and stream.tag is not None and known == _Origin(tag=stream.tag, size=stream.size)

    def _begin_anew(self, stream: Stream) -> None:
        self._partial.unlink(missing_ok=True)
        # The note beside it speaks of the new file from now on: an old one must not be taken for it.
        self._target.unlink(missing_ok=True)
        self._origin.write_text(_Origin(tag=stream.tag, size=stream.size).model_dump_json())

    def _pour(self, stream: Stream, out: BinaryIO) -> None:
        got = stream.start
        for piece in stream.pieces:
            out.write(piece)
            got += len(piece)
            self._screen.progress(f"Downloading {self._remote.name}: {_share(got, stream.size)}")
        if stream.size is not None and got != stream.size:
            raise UnreachableError(f"it ended after {got} of {stream.size} bytes")

    def _finish(self, *, changed: bool) -> None:
        if not changed:
            self._expect_digest(self._target)
            self._screen.say(f"{self._remote.name} has not changed: {self._target}")
            return
        self._expect_digest(self._partial)
        self._partial.replace(self._target)
        self._screen.say(f"Downloaded {self._remote.name}: {size(self._target.stat().st_size)}")

    def _expect_digest(self, path: Path) -> None:
        if self._sha256 and (found := sha256_of(path)) != self._sha256:
            path.unlink()
            raise StartupFault(
                Reason.DIGEST_MISMATCH,
                f"{self._remote.name} has sha256 {found}, not {self._sha256}; it is not the file that was promised",
            )

    def _so_far(self) -> int:
        return self._partial.stat().st_size if self._partial.is_file() else 0

    def _known(self) -> _Origin:
        try:
            return _Origin.model_validate_json(self._origin.read_bytes())
        except (FileNotFoundError, ValidationError):
            return _Origin(tag=None, size=None)


def _share(got: int, whole: int | None) -> str:
    return f"{size(got)} of {size(whole)} ({got * 100 // whole} %)" if whole else size(got)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Let no second process write the same file meanwhile."""
    with target.with_name(target.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupFault(
                Reason.MODEL_FILES_UNAVAILABLE,
                f"another process downloads to {target}; wait for it, or name another folder in LOADLINE_CACHE_DIR",
            ) from None
        yield
