"""What happened when, and how long it took: phases with names, printed as they end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A named span of time, in seconds since 1970."""

    name: str
    start: float
    end: float
    stalled: float
    """Share of the time in which something on this machine waited for a processor: a stall that is not ours."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


@dataclass
class Timeline:
    """Phases one after another, each printed with its time when it ends."""

    say: Callable[[str], None]
    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note what is done inside as one phase, also when it fails."""
        start, waited = time.time(), _waited_for_processor()
        try:
            yield
        finally:
            end = time.time()
            stalled = (_waited_for_processor() - waited) / max(end - start, 0.001)
            done = Phase(name=name, start=start, end=end, stalled=stalled)
            self.phases.append(done)
            self.say(f"  {done.seconds:6.1f} s  {name}")


def _waited_for_processor() -> float:
    """Seconds since boot in which some process waited for a processor; 0 where the kernel does not count them."""
    pressure = Path("/proc/pressure/cpu")
    if not pressure.exists():
        return 0.0
    return int(pressure.read_text().split("total=")[1].split()[0]) / 1e6


def table(header: list[str], rows: list[list[str]]) -> str:
    """Rows as aligned columns."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
