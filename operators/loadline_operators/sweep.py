"""Has a watch missed something?

kopf says nothing of objects that were deleted while a watch was broken, and no watch is surer than a list. So each kind
is listed anew from time to time, and soon after its watch had to list again; what differs is made good. A kind that
needs it every time has a watch that no longer works.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from loadline_operators.cache import Cache, Change
from loadline_operators.cluster import Manifest, Reference
from loadline_operators.errors import ApiError
from loadline_operators.telemetry import CACHE_REPAIRS

PERIOD: Final = 600.0
AFTER_RELIST: Final = 5.0
STALE_AFTER: Final = 3
"""Sweeps in a row that found something missed: then it is the watch, and not a race with it."""

log = structlog.get_logger(__name__)


class Lists(Protocol):
    """What a sweep asks of the API server."""

    async def list(self, kind: str, *, namespace: str | None = None, label_selector: str = "") -> list[dict[str, Any]]:
        """Read all objects of a kind."""
        ...


@dataclass(kw_only=True)
class Sweeper:
    """Compares the cache with lists."""

    api: Lists
    cache: Cache
    wake: Callable[[Change], None]
    selectors: Mapping[str, str]
    namespaces: Sequence[str | None]
    """Namespaces that are watched; `None` stands for all."""
    cluster_wide: frozenset[str] = frozenset({"Node"})
    rng: random.Random = field(default_factory=random.Random)
    _missed: Counter[str] = field(default_factory=Counter)
    _due: dict[str, float] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def stale_kinds(self) -> tuple[str, ...]:
        """Kinds whose watch misses changes again and again."""
        return tuple(kind for kind, times in self._missed.items() if times >= STALE_AFTER)

    def soon(self, kind: str) -> None:
        """Sweep a kind shortly: its watch had to begin anew."""
        if self._due:
            self._due[kind] = min(self._due[kind], asyncio.get_running_loop().time() + AFTER_RELIST)
            self._changed.set()

    async def run(self) -> None:
        """Sweep every kind from time to time until cancelled."""
        loop = asyncio.get_running_loop()
        for kind in self.selectors:
            # All of them soon, one after the other: a standby may have watched for days before it came to lead.
            self._due[kind] = loop.time() + AFTER_RELIST * (1 + self.rng.random())
        while True:
            kind = min(self._due, key=lambda each: self._due[each])
            await self._wait_until(self._due[kind])
            if loop.time() < self._due[kind]:
                continue
            self._due[kind] = loop.time() + PERIOD * (0.9 + 0.2 * self.rng.random())
            try:
                await self.sweep(kind)
            except ApiError as error:
                log.warning("Could not sweep", kind=kind, error=str(error))

    async def _wait_until(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self._changed.clear()
        try:
            async with asyncio.timeout_at(max(due, loop.time())):
                await self._changed.wait()
        except TimeoutError:
            return

    async def sweep(self, kind: str) -> int:
        """Compare one kind, and tell how many objects the watch had not brought."""
        places = (None,) if kind in self.cluster_wide else self.namespaces
        repaired = 0
        for place in places:
            repaired += await self.sweep_place(kind, place)
        self._missed[kind] = self._missed[kind] + 1 if repaired else 0
        return repaired

    async def sweep_place(self, kind: str, namespace: str | None) -> int:
        """Compare one kind in one namespace."""
        before = {
            held.reference: held
            for held in self.cache.of_kind(kind)
            if namespace is None or held.reference.namespace == namespace
        }
        listed = await self.api.list(kind, namespace=namespace, label_selector=self.selectors[kind])
        changes = [self.cache.put(body) for body in listed]
        there = {_name_of(kind, body) for body in listed}
        for reference, held in before.items():
            # Only what stands in the cache as it did before the list: what changed meanwhile is the watch's.
            if reference not in there and self.cache.get(reference) is held:
                changes.append(self.cache.remove(reference, held.uid))
        missed = [change for change in changes if change.concerns]
        for change in missed:
            CACHE_REPAIRS.labels(kind).inc()
            self.wake(change)
        return len(missed)


def _name_of(kind: str, body: Manifest) -> Reference:
    metadata = body["metadata"]
    return Reference(kind=kind, namespace=metadata.get("namespace", ""), name=metadata["name"])
