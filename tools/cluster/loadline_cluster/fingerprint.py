"""Is what was built still what would be built now?"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

IGNORED = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}


def of(*parts: str | Path, length: int = 12) -> str:
    """Hash texts and the contents of files and folders, in the order given, into `length` hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            _add_files(digest, part)
        else:
            _add(digest, b"text", part.encode())
    return digest.hexdigest()[:length]


def files(path: Path) -> Iterable[Path]:
    """List the files below `path`, or `path` itself, sorted and without caches."""
    if path.is_file():
        return [path]
    below = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in below if not IGNORED.intersection(file.relative_to(path).parts))


def _add_files(digest: "hashlib._Hash", path: Path) -> None:
    for file in files(path):
        name = file.name if file == path else str(file.relative_to(path))
        executable = b"x" if file.stat().st_mode & 0o100 else b"-"
        _add(digest, executable + name.encode(), file.read_bytes())


def _add(digest: "hashlib._Hash", name: bytes, content: bytes) -> None:
    for field in (name, content):
        digest.update(len(field).to_bytes(8, "big"))
        digest.update(field)
