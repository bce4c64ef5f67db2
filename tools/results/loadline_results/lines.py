"""How a measurement of many small parts is kept: one line for each part, so that it goes on where it was cut off."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loadline_results.age import Verdict
from loadline_results.machine import Machine
from loadline_results.repository import Repository

SUFFIX = ".jsonl"


class Line(BaseModel):
    """One part that was measured: when, where, of which code, and what was seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    round: int = Field(ge=1)
    measured: datetime
    commit: str
    uncommitted: bool
    """Whether the paths that it speaks of had changes which no commit holds."""
    paths: tuple[str, ...]
    """The code that it speaks of."""
    machine: Machine
    figures: dict[str, Any]
    """What was measured, and its raw figures."""


def read(path: Path) -> list[Line]:
    """All the lines of a file; none where there is no file."""
    if not path.exists():
        return []
    return [Line.model_validate_json(text) for text in path.read_text().splitlines()]


def append(path: Path, line: Line) -> None:
    """Add a line, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(_text(line))


def keep(path: Path, kept: Sequence[Line]) -> None:
    """Drop all other lines: those of code that is no longer there are in the repository's history."""
    if len(read(path)) != len(kept):
        partial = path.with_suffix(".partial")
        partial.write_text("".join(_text(line) for line in kept))
        partial.replace(path)


def of_this_code(lines: Iterable[Line], repository: Repository) -> list[Line]:
    """The lines that speak of the code as it is: nothing was uncommitted, and no later commit touches their paths."""
    old: dict[tuple[str, tuple[str, ...]], str] = {}
    return [line for line in lines if not line.uncommitted and not _age(line, repository, old)]


def judge(name: str, lines: Sequence[Line], repository: Repository) -> Verdict:
    """What can be said about such a measurement today."""
    old: dict[tuple[str, tuple[str, ...]], str] = {}
    faults = [fault for line in lines if (fault := _age(line, repository, old))]
    uncommitted = sum(line.uncommitted for line in lines)
    told = [f"{faults.count(fault)} of {len(lines)} lines: {fault}" for fault in dict.fromkeys(faults)]
    if uncommitted:
        told.append(f"{uncommitted} of {len(lines)} lines were measured on code that no commit holds")
    return Verdict(name=name, faults=tuple(told))


def judge_all(folder: Path, repository: Repository) -> list[Verdict]:
    """The verdict on each such measurement of a folder, by name."""
    return [judge(path.stem, read(path), repository) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def _text(line: Line) -> str:
    return json.dumps(line.model_dump(mode="json")) + "\n"


def _age(line: Line, repository: Repository, known: dict[tuple[str, tuple[str, ...]], str]) -> str:
    """Why a line is old, or nothing; each commit is asked for once."""
    key = line.commit, line.paths
    if key not in known:
        if not repository.knows(line.commit):
            known[key] = f"commit {line.commit[:10]} is not in this history"
        else:
            later = repository.commits_since(line.commit, line.paths)
            known[key] = f"{len(later)} later commits touch its code, the newest: {later[0]}" if later else ""
    return known[key]
