"""May one more request wait, or is it better for all that it is sent away?

Two bounds hold always: rows and bytes that wait. A third follows what is measured: where even the luckiest row of a
whole window waited too long, there is a standing queue, and fewer rows may be inside (the idea of CoDel, applied to
rows in flight per batch slot instead of packets).
"""

from dataclasses import dataclass
from enum import StrEnum

from loadline_serving.errors import OverloadedError


class Concurrency(StrEnum):
    """What bounds the rows inside, besides the queue."""

    ADAPTIVE = "adaptive"
    UNLIMITED = "unlimited"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The limits that the settings give."""

    rows: int = 4096
    """Rows that may be inside: waiting and running."""
    size: int = 256 * 1024 * 1024
    """Bytes of tensors that may be inside."""
    concurrency: Concurrency = Concurrency.ADAPTIVE


class AdaptiveLimit:
    """How many rows may be inside, from how long they waited."""

    TARGET_SECONDS = 0.1
    TARGET_RUNS = 10
    """Rows should not all wait longer than TARGET_SECONDS, or than so many runs where the model is slow."""
    WINDOW_SECONDS = 0.1
    FIRST_SLOTS = 16
    FIRST_ROWS = 64

    def __init__(self, slots: int, most: int) -> None:
        """`slots`: rows of a full batch, the floor. `most`: the limit never grows beyond."""
        self._floor = max(1, min(slots, most))
        self._most = most
        self.value = min(most, max(self.FIRST_ROWS, self.FIRST_SLOTS * slots))
        self._window_ends = 0.0
        self._least_wait = float("inf")
        self._longest_run = 0.0
        self._peak = 0

    def ran(self, now: float, least_wait: float, run: float, inside: int) -> None:
        """Note one run: how long the row that waited least had waited, and how many rows were inside."""
        self._least_wait = min(self._least_wait, least_wait)
        self._longest_run = max(self._longest_run, run)
        self._peak = max(self._peak, inside)
        if now >= self._window_ends:
            self._turn(now)

    def _turn(self, now: float) -> None:
        target = max(self.TARGET_SECONDS, self.TARGET_RUNS * self._longest_run)
        if self._least_wait > target:
            self.value = max(self._floor, int(self.value * max(0.5, target / self._least_wait)))
        elif self._peak * 2 >= self.value:
            grown = self.value * 2 if self._least_wait * 4 < target else self.value + self._floor
            self.value = min(self._most, grown)
        self._window_ends = now + max(self.WINDOW_SECONDS, 2 * self._longest_run)
        self._least_wait, self._longest_run, self._peak = float("inf"), 0.0, 0


class Admission:
    """Counts what is inside, and refuses what would be too much."""

    def __init__(self, bounds: Bounds, slots: int) -> None:
        self._bounds = bounds
        self.adaptive = AdaptiveLimit(slots, bounds.rows) if bounds.concurrency is Concurrency.ADAPTIVE else None
        self.rows = 0
        self.size = 0

    @property
    def limit(self) -> int:
        """Rows that may be inside now."""
        return self._bounds.rows if self.adaptive is None else self.adaptive.value

    def enter(self, rows: int, size: int) -> None:
        """Let a request in, or raise OverloadedError. One that finds nobody inside always gets in."""
        if self.rows and (self.rows + rows > self.limit or self.size + size > self._bounds.size):
            raise self.refusal()
        self.rows += rows
        self.size += size

    def leave(self, rows: int, size: int) -> None:
        """Give the places back."""
        self.rows -= rows
        self.size -= size

    @property
    def full(self) -> bool:
        """Whether not even one row more would get in: worth knowing before a body is read."""
        return bool(self.rows) and (self.rows >= self.limit or self.size >= self._bounds.size)

    def refusal(self) -> OverloadedError:
        """The error for a request that is sent away."""
        return OverloadedError(
            f"too many requests: {self.rows} rows and {self.size} bytes are waiting or running here, and no more than "
            f"{self.limit} rows and {self._bounds.size} bytes may; try again later or on another replica"
        )
