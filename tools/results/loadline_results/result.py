"""What a result file holds, and how one is written so that a run that was cut off goes on."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from loadline_results.machine import Machine
from loadline_results.repository import Repository

FOLDER = Path("docs/results")


class Result(BaseModel):
    """One measurement: what it speaks of, where it was made, and its raw counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    claim: str
    """The sentence that the numbers are held against."""
    form: Literal["short", "long"]
    wanted_runs: int = Field(gt=0)
    command: str
    commit: str
    uncommitted: bool
    """Whether the paths that it speaks of had changes which no commit holds."""
    paths: tuple[str, ...]
    """The code that it speaks of."""
    machine: Machine
    started: datetime
    runs: tuple[dict[str, Any], ...] = ()
    """Raw counts, one entry for each run."""

    @property
    def complete(self) -> bool:
        """Whether all the runs were made."""
        return len(self.runs) >= self.wanted_runs

    def speaks_of_the_same(self, other: "Result") -> bool:
        """Whether runs of the other one may be counted with these."""
        same = ("name", "form", "wanted_runs", "commit", "paths")
        alike = all(getattr(self, key) == getattr(other, key) for key in same)
        return alike and not self.uncommitted and not other.uncommitted


class Recording:
    """A result file that grows by one run at a time."""

    def __init__(self, folder: Path, result: Result) -> None:
        self._path = folder / f"{result.name}.json"
        kept = read(self._path)
        self.result = kept if kept is not None and kept.speaks_of_the_same(result) else result

    @classmethod
    def begin(
        cls,
        name: str,
        *,
        claim: str,
        form: Literal["short", "long"],
        wanted_runs: int,
        paths: Sequence[str],
        command: str,
        root: Path,
    ) -> Self:
        """Begin a result, or go on with the one that was cut off at this commit."""
        repository = Repository(root)
        return cls(
            root / FOLDER,
            Result(
                name=name,
                claim=claim,
                form=form,
                wanted_runs=wanted_runs,
                command=command,
                commit=repository.head(),
                uncommitted=repository.has_uncommitted(paths),
                paths=tuple(paths),
                machine=Machine.this(),
                started=datetime.now(UTC).replace(microsecond=0),
            ),
        )

    @property
    def runs_left(self) -> int:
        """How many runs are still to be made."""
        return max(0, self.result.wanted_runs - len(self.result.runs))

    def add(self, run: dict[str, Any]) -> None:
        """Write one more run into the file; the file is whole at every moment."""
        self.result = self.result.model_copy(update={"runs": (*self.result.runs, run)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self.result.model_dump(mode="json"), indent=1) + os.linesep)
        partial.replace(self._path)


def read(path: Path) -> Result | None:
    """The result in a file, or None where there is none."""
    return Result.model_validate_json(path.read_text()) if path.exists() else None


def read_all(folder: Path) -> list[Result]:
    """Every result of a folder, by name."""
    return [Result.model_validate_json(path.read_text()) for path in sorted(folder.glob("*.json"))]
