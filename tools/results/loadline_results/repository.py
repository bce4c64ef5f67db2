"""What git says about the code that a result speaks of."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class GitFailedError(RuntimeError):
    """Git could not answer; the message holds what it said."""


@dataclass(frozen=True)
class Repository:
    """The repository that holds both the code and its results."""

    root: Path

    def head(self) -> str:
        """The commit that is checked out."""
        return self._git("rev-parse", "HEAD").strip()

    def has_uncommitted(self, paths: Sequence[str]) -> bool:
        """Whether these paths have changes that no commit holds."""
        return bool(self._git("status", "--porcelain", "--", *paths).strip())

    def knows(self, commit: str) -> bool:
        """Whether a commit is in this repository's history."""
        return self._run("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0

    def commits_since(self, commit: str, paths: Sequence[str]) -> list[str]:
        """The later commits that touch these paths, newest first, one line each."""
        return self._git("log", "--format=%h %s", f"{commit}..HEAD", "--", *paths).splitlines()

    def _git(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode != 0:
            raise GitFailedError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False)
