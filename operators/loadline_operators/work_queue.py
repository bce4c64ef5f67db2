"""Which object is looked at next?

A key that is asked for many times while it waits is looked at once; asked for while it is being looked at, it is
looked at once more afterwards. No key is ever looked at twice at the same time. A look that fails is tried again after
a growing, jittered while; all keys are looked at from time to time even if nothing was heard of them.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import structlog

from loadline_operators.telemetry import QUEUE_DEPTH, QUEUE_RETRIES, QUEUE_SECONDS

FIRST_BACKOFF: Final = 0.25
"""Wait after the first failure, in seconds; each further one doubles it."""
LONGEST_BACKOFF: Final = 60.0
RESYNC_SECONDS: Final = 600.0
WORKERS: Final = 16

log = structlog.get_logger(__name__)

K = TypeVar("K", bound=Hashable)


@dataclass
class Schedule(Generic[K]):
    """Who is due when: the queue without its clock, its tasks and its luck."""

    limit: int = 100_000
    """How many keys it holds; more are refused, which the resync makes good."""
    _due: dict[K, float] = field(default_factory=dict)
    _ready: deque[K] = field(default_factory=deque)
    _ready_since: dict[K, float] = field(default_factory=dict)
    _later: list[tuple[float, int, K]] = field(default_factory=list)
    _running: set[K] = field(default_factory=set)
    _again: dict[K, float] = field(default_factory=dict)
    _sequence: int = 0

    def add(self, key: K, *, due: float, now: float) -> bool:
        """Ask for a look at `due`; of several wishes the earliest counts. Tells whether it was taken."""
        if key in self._running:
            self._again[key] = min(due, self._again.get(key, due))
            return True
        if key in self._ready_since:
            return True
        if key not in self._due and len(self) >= self.limit:
            return False
        if due <= now:
            self._make_ready(key, since=due)
        elif due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._sequence += 1
            heapq.heappush(self._later, (due, self._sequence, key))
        return True

    def take(self, *, now: float) -> tuple[K, float] | None:
        """The next key to look at and since when it is due; it counts as running until `finish`."""
        self._promote(now)
        if not self._ready:
            return None
        key = self._ready.popleft()
        since = self._ready_since.pop(key)
        self._running.add(key)
        return key, since

    def finish(self, key: K, *, now: float) -> None:
        """End the look at a key; wishes that came meanwhile count now."""
        self._running.discard(key)
        if key in self._again:
            self.add(key, due=self._again.pop(key), now=now)

    def next_due(self, *, now: float) -> float | None:
        """When there will be something to take; `None` when nothing is planned."""
        if self._ready:
            return now
        while self._later and self._due.get(self._later[0][2]) != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def oldest_wait(self, *, now: float) -> float:
        """How long the key that waits longest has been due."""
        self._promote(now)
        return now - self._ready_since[self._ready[0]] if self._ready else 0.0

    @property
    def depth(self) -> int:
        """Keys that are due and not yet running."""
        return len(self._ready)

    @property
    def running(self) -> int:
        """Keys that are being looked at."""
        return len(self._running)

    def __len__(self) -> int:
        return len(self._ready) + len(self._due) + len(self._running)

    def _promote(self, now: float) -> None:
        while (due := self.next_due(now=now)) is not None and not self._ready and due <= now:
            while self._later and self._later[0][0] <= now:
                at, _, key = heapq.heappop(self._later)
                if self._due.get(key) == at:
                    self._make_ready(key, since=at)

    def _make_ready(self, key: K, *, since: float) -> None:
        self._due.pop(key, None)
        self._ready.append(key)
        self._ready_since[key] = since


def backoff(failures: int, *, luck: float) -> float:
    """Seconds to wait after so many failures in a row; `luck` in [0, 1) spreads keys that failed together."""
    longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 32))
    return longest * (0.5 + luck / 2)


@dataclass(frozen=True, kw_only=True)
class Again:
    """What a look says about the next one."""

    after: float | None = None
    """Seconds until the next look; `None` leaves it to events and the resync."""
    failed: bool = False
    """Whether to back off: each failure in a row doubles the wait, and `after` is the least."""


class WorkQueue(Generic[K]):
    """The schedule with a clock, workers and a resync."""

    def __init__(
        self,
        look: Callable[[K], Awaitable[Again]],
        *,
        all_keys: Callable[[], Iterable[K]],
        workers: int = WORKERS,
        resync: float = RESYNC_SECONDS,
        rng: random.Random | None = None,
    ) -> None:
        self._look = look
        self._all_keys = all_keys
        self._workers = workers
        self._resync = resync
        self._rng = rng or random.Random()  # noqa: S311
        self._schedule: Schedule[K] = Schedule()
        self._failures: dict[K, int] = {}
        self._changed = asyncio.Event()

    def add(self, key: K, *, after: float = 0.0) -> None:
        """Ask for a look at a key, now or after some seconds. Call it on the event loop."""
        now = asyncio.get_running_loop().time()
        if not self._schedule.add(key, due=now + after, now=now):
            log.error("Left a key out of the full queue until the next resync", key=str(key))
            return
        QUEUE_DEPTH.set(self._schedule.depth)
        self._changed.set()

    def forget(self, key: K) -> None:
        """Drop what is remembered of a key that is gone."""
        self._failures.pop(key, None)

    def oldest_wait(self) -> float:
        """How long the key that waits longest has been due, in seconds."""
        return self._schedule.oldest_wait(now=asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Look at keys until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync_forever(), name="resync")
            idle = asyncio.Semaphore(self._workers)
            while True:
                await idle.acquire()
                key, since = await self._next()
                QUEUE_SECONDS.observe(max(0.0, asyncio.get_running_loop().time() - since))
                task = group.create_task(self._work(key), name=f"look {key}")
                task.add_done_callback(lambda _: idle.release())

    async def _next(self) -> tuple[K, float]:
        loop = asyncio.get_running_loop()
        while True:
            taken = self._schedule.take(now=loop.time())
            QUEUE_DEPTH.set(self._schedule.depth)
            if taken is not None:
                return taken
            due = self._schedule.next_due(now=loop.time())
            timer = None if due is None else loop.call_at(due, self._changed.set)
            await self._changed.wait()
            self._changed.clear()
            if timer is not None:
                timer.cancel()

    async def _work(self, key: K) -> None:
        loop = asyncio.get_running_loop()
        try:
            again = await self._look(key)
        except Exception:
            # The last line of defence: an unforeseen error of one object must not end the others.
            log.exception("Failed in an unforeseen way", key=str(key))
            again = Again(failed=True)
        now = loop.time()
        self._schedule.finish(key, now=now)
        wait = self._wait(key, again)
        if wait is not None:
            self._schedule.add(key, due=now + wait, now=now)
        self._changed.set()

    def _wait(self, key: K, again: Again) -> float | None:
        if not again.failed:
            self._failures.pop(key, None)
            return again.after
        QUEUE_RETRIES.inc()
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return max(again.after or 0.0, backoff(failures, luck=self._rng.random()))

    async def _resync_forever(self) -> None:
        while True:
            await asyncio.sleep(self._resync * (0.9 + 0.2 * self._rng.random()))
            for key in list(self._all_keys()):
                # Spread over a tenth of the period, so that a resync is no burst.
                self.add(key, after=self._rng.random() * self._resync / 10)
