"""Where the programs are that the tests run: kubectl, helm, vegeta and the like."""

import os
import shutil
from pathlib import Path

CACHE = Path(os.environ.get("LOADLINE_CACHE", "~/.cache/loadline")).expanduser()
BIN = CACHE / "bin"
ROOT = Path(__file__).parents[2]


class ProgramMissingError(RuntimeError):
    """A program that a test needs is neither in the cache nor on PATH."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is neither in {BIN} nor on PATH; run: make programs")


def search_path() -> str:
    """PATH with the project's own programs first."""
    return os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])


def program(name: str) -> str:
    """The full path of a program."""
    found = shutil.which(name, path=search_path())
    if found is None:
        raise ProgramMissingError(name)
    return found
