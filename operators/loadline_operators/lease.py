"""Which of the replicas may write?

The one that holds the Lease `loadline-operator`. Times are compared on this machine's own clock alone: another
replica's lease has run out when it was seen unchanged for its whole duration, ours when the last renewal was *begun*
longer ago than the renewal deadline. That clock is CLOCK_BOOTTIME where there is one: it goes on while the process is
stopped and while the machine sleeps, which CLOCK_MONOTONIC does not.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import structlog

from loadline_operators.cluster import KINDS, Request
from loadline_operators.errors import AlreadyExistsError, ApiError, ConflictError, NotFoundError
from loadline_operators.telemetry import LEADER, LEASE_TRANSITIONS

LEASE_NAME: Final = "loadline-operator"
LEASE_SECONDS: Final = 15.0
"""How long others wait for a sign of life."""
RENEW_DEADLINE: Final = 10.0
"""How long we hold ourselves to be the holder after a renewal was begun; less than others wait."""
RETRY_SECONDS: Final = 2.0
"""How often the lease is renewed, or looked at."""
REQUEST_DEADLINE: Final = 5.0
"""How long one request about the lease may take: two fit into the renewal deadline."""

log = structlog.get_logger(__name__)


def boot_clock() -> float:
    """Seconds since boot, time asleep included."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, kw_only=True)
class Record:
    """What stands in the Lease."""

    holder: str
    renewed: str
    seconds: float = LEASE_SECONDS
    transitions: int = 0
    acquired: str = ""
    resource_version: str = ""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A record, and when it was first seen like this, on our clock."""

    record: Record
    since: float


class Decision(StrEnum):
    """What to do about the lease now."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def decide(seen: Sighting | None, *, now: float, me: str) -> Decision:
    """What to do, given the lease as it was last seen; `None` when there is none."""
    if seen is None:
        return Decision.CREATE
    if seen.record.holder == me:
        return Decision.RENEW
    if not seen.record.holder:
        return Decision.TAKE
    return Decision.TAKE if now - seen.since > seen.record.seconds else Decision.WAIT


def sight(previous: Sighting | None, record: Record, *, now: float) -> Sighting:
    """Note a record: its age counts from when it was first seen to be what it is."""
    if previous is not None and previous.record == record:
        return previous
    return Sighting(record=record, since=now)


def claim(previous: Record | None, *, me: str, timestamp: str) -> Record:
    """The record that makes, or keeps, the lease ours."""
    if previous is not None and previous.holder == me:
        return replace(previous, renewed=timestamp)
    return Record(
        holder=me,
        renewed=timestamp,
        acquired=timestamp,
        transitions=0 if previous is None else previous.transitions + 1,
        resource_version="" if previous is None else previous.resource_version,
    )


class LeaseStore(Protocol):
    """Where the lease lies."""

    def read(self) -> Record | None:
        """The lease as it stands; `None` when there is none."""
        ...

    def write(self, record: Record) -> Record:
        """Write the lease if it is still the one whose version the record carries."""
        ...


class Sender(Protocol):
    """The part of the transport that the lease needs."""

    def send(self, request: Request) -> dict[str, Any]:
        """Send one request and give back the object in the answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClusterLease:
    """The Lease object on the API server."""

    sender: Sender
    namespace: str
    name: str = LEASE_NAME

    def read(self) -> Record | None:
        """The lease as it stands; `None` when there is none."""
        try:
            return _record_of(self.sender.send(self._request("get", "GET", named=True)))
        except NotFoundError:
            return None

    def write(self, record: Record) -> Record:
        """Create the lease, or replace the one whose version the record carries."""
        body = _manifest_of(record, namespace=self.namespace, name=self.name)
        if record.resource_version:
            return _record_of(self.sender.send(self._request("update", "PUT", named=True, body=body)))
        return _record_of(self.sender.send(self._request("create", "POST", named=False, body=body)))

    def _request(self, verb: str, method: str, *, named: bool, body: Mapping[str, Any] | None = None) -> Request:
        return Request(
            verb=verb,
            target=f"Lease {self.namespace}/{self.name}",
            resource="leases",
            method=method,
            path=KINDS["Lease"].path(self.namespace, self.name if named else None),
            body=body,
            deadline=REQUEST_DEADLINE,
        )


def _record_of(manifest: Mapping[str, Any]) -> Record:
    spec = manifest.get("spec", {})
    return Record(
        holder=spec.get("holderIdentity") or "",
        renewed=spec.get("renewTime") or "",
        seconds=float(spec.get("leaseDurationSeconds") or LEASE_SECONDS),
        transitions=int(spec.get("leaseTransitions") or 0),
        acquired=spec.get("acquireTime") or "",
        resource_version=manifest["metadata"]["resourceVersion"],
    )


def _manifest_of(record: Record, *, namespace: str, name: str) -> dict[str, Any]:
    version = {"resourceVersion": record.resource_version} if record.resource_version else {}
    spec = {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": round(record.seconds),
        "acquireTime": record.acquired or None,
        "renewTime": record.renewed or None,
        "leaseTransitions": record.transitions,
    }
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace, **version},
        "spec": spec,
    }


def timestamp_now() -> str:
    """The time of day, as leases carry it; it is for readers, nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Elector:
    """Stands for the lease on a thread of its own, so that a busy event loop does not lose it.

    `on_elected` is called once, on that thread, when the lease is first ours; `on_lost` when it is ours no more. Who
    lost it must end the process: whatever was under way was decided by a leader that no longer is.
    """

    def __init__(
        self,
        store: LeaseStore,
        *,
        me: str,
        on_elected: Callable[[], None],
        on_lost: Callable[[str], None],
        clock: Callable[[], float] = boot_clock,
        timestamp: Callable[[], str] = timestamp_now,
    ) -> None:
        self._store = store
        self._me = me
        self._on_elected = on_elected
        self._on_lost = on_lost
        self._clock = clock
        self._timestamp = timestamp
        self._seen: Sighting | None = None
        self._held_until: float | None = None
        self._elected = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self.last_turn = clock()
        """When the thread last turned, on our clock."""

    def may_write(self) -> bool:
        """Whether the lease is surely ours at this moment."""
        until = self._held_until
        return until is not None and not self._stop.is_set() and self._clock() < until

    @property
    def is_leader(self) -> bool:
        """Whether this replica was elected."""
        return self._elected

    def start(self) -> None:
        """Begin to stand for the lease."""
        self._thread.start()

    def release(self) -> None:
        """Stop writing, and let another replica have the lease without waiting for it to run out."""
        self._stop.set()
        self._held_until = None
        LEADER.set(0)
        if self._thread.is_alive():
            self._thread.join(timeout=REQUEST_DEADLINE + RETRY_SECONDS)
        if not self._elected or self._seen is None:
            return
        try:
            self._store.write(replace(self._seen.record, holder="", renewed=self._timestamp(), seconds=1.0))
        except ApiError as error:
            log.warning("Left the lease to run out", error=str(error))
        else:
            log.info("Released the lease", holder=self._me)

    def step(self) -> None:
        """Look at the lease once, and do what is to be done about it."""
        began = self._clock()
        if self._overdue(began):
            self._lose(f"not renewed for {RENEW_DEADLINE:g} s")
            return
        try:
            self._attempt(began)
        except (ConflictError, AlreadyExistsError) as error:
            self._look_after_conflict(error)
        except ApiError as error:
            log.warning("Did not reach the lease", holder=self._me, error=str(error))
        if self._overdue(self._clock()):
            self._lose(f"not renewed for {RENEW_DEADLINE:g} s")

    def _attempt(self, began: float) -> None:
        if not self._elected or self._seen is None:
            self._look()
        decision = decide(self._seen, now=self._clock(), me=self._me)
        if self._elected and decision is not Decision.RENEW:
            self._lose("another replica took it" if self._seen else "somebody deleted it")
            return
        if decision is Decision.WAIT:
            return
        previous = None if self._seen is None else self._seen.record
        written = self._store.write(claim(previous, me=self._me, timestamp=self._timestamp()))
        self._seen = Sighting(record=written, since=self._clock())
        self._hold(until=began + RENEW_DEADLINE)

    def _look(self) -> None:
        record = self._store.read()
        self._seen = None if record is None else sight(self._seen, record, now=self._clock())

    def _look_after_conflict(self, error: ApiError) -> None:
        """Somebody wrote the lease between our look and our write: see who holds it now."""
        log.info("Found the lease changed", holder=self._me, error=str(error))
        try:
            self._look()
        except ApiError as unreachable:
            log.warning("Did not reach the lease", holder=self._me, error=str(unreachable))
            return
        holder = None if self._seen is None else self._seen.record.holder
        if self._elected and holder != self._me:
            self._lose(f"now held by {holder!r}")

    def _hold(self, *, until: float) -> None:
        self._held_until = until
        if self._elected:
            return
        self._elected = True
        LEADER.set(1)
        LEASE_TRANSITIONS.inc()
        log.info("Became the leader", holder=self._me)
        self._on_elected()

    def _overdue(self, now: float) -> bool:
        return self._held_until is not None and now >= self._held_until

    def _lose(self, reason: str) -> None:
        self._held_until = None
        LEADER.set(0)
        self._on_lost(reason)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step()
            self.last_turn = self._clock()
            self._stop.wait(RETRY_SECONDS)
