"""How much processor time and memory has a server used, all its processes and threads together?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
Thread = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a server's processes hold, in bytes."""

    resident: int
    proportional: int
    """Pages that several processes share, counted once."""
    processes: int


def processes(root: int, proc: Path = PROC) -> list[int]:
    """A process, all below it, and those of its session whose parent has ended."""
    found = dict(_kin(proc))
    server = {root}
    while more := {pid for pid, (parent, _) in found.items() if parent in server} - server:
        server |= more
    return sorted(server | {pid for pid, (_, session) in found.items() if session == root})


def thread_times(root: int, proc: Path = PROC) -> dict[Thread, int]:
    """The nanoseconds that each thread of a server has run. Other work on the same core does not count."""
    times = {}
    for pid in processes(root, proc):
        for path in (proc / str(pid) / "task").glob("*/schedstat"):
            if (text := _read(path)) is not None:
                times[pid, int(path.parent.name)] = int(text.split()[0])
    return times


def spent(before: Mapping[Thread, int], after: Mapping[Thread, int]) -> int:
    """The nanoseconds between two looks. What a thread ran that came and went between them is not seen."""
    return sum(time - before.get(thread, 0) for thread, time in after.items())


def memory(root: int, proc: Path = PROC) -> Memory:
    """What a server holds now."""
    rollups = [text for pid in processes(root, proc) if (text := _read(proc / str(pid) / "smaps_rollup")) is not None]
    return Memory(
        resident=sum(_kilobytes(text, "Rss") for text in rollups) * 1024,
        proportional=sum(_kilobytes(text, "Pss") for text in rollups) * 1024,
        processes=len(rollups),
    )


def _kin(proc: Path) -> Iterator[tuple[int, tuple[int, int]]]:
    """Parent and session of every process."""
    for path in proc.glob("[0-9]*/stat"):
        if (text := _read(path)) is not None:
            # The name before the bracket may hold spaces and brackets itself.
            fields = text.rsplit(")", 1)[1].split()
            yield int(path.parent.name), (int(fields[1]), int(fields[3]))


def _kilobytes(rollup: str, name: str) -> int:
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith(f"{name}:")), 0)


def _read(path: Path) -> str | None:
    """The text; None once the process has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
