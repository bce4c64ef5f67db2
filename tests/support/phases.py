"""What happened when, and how long it took: phases with names, printed as they end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A named span of time, in seconds since 1970."""

    name: str
    start: float
    end: float

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
        start = time.time()
        try:
            yield
        finally:
            done = Phase(name=name, start=start, end=time.time())
            self.phases.append(done)
            self.say(f"  {done.seconds:6.1f} s  {name}")


def table(header: list[str], rows: list[list[str]]) -> str:
    """Rows as aligned columns."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
