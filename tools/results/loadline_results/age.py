"""Which results are older than the code they speak of."""

from dataclasses import dataclass

from loadline_results.repository import Repository
from loadline_results.result import Result


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What can be said about one result today."""

    name: str
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the result still speaks of this code."""
        return not self.faults


def judge(result: Result, repository: Repository) -> Verdict:
    """Compare a result with the history of the paths that it names."""
    return Verdict(name=result.name, faults=tuple(_faults(result, repository)))


def _faults(result: Result, repository: Repository) -> list[str]:
    faults = []
    if not result.complete:
        faults.append(f"{len(result.runs)} of {result.wanted_runs} runs were made")
    if result.uncommitted:
        faults.append("it was measured on code that no commit holds")
    if not repository.knows(result.commit):
        return [*faults, f"its commit {result.commit[:10]} is not in this history"]
    later = repository.commits_since(result.commit, result.paths)
    if later:
        faults.append(f"{len(later)} later commits touch {', '.join(result.paths)}, the newest: {later[0]}")
    return faults
