"""Claims about which replica may write."""

from dataclasses import dataclass, field, replace

import pytest
from loadline_operators.errors import ConflictError, UnavailableError
from loadline_operators.lease import (
    LEASE_SECONDS,
    RENEW_DEADLINE,
    RETRY_SECONDS,
    Decision,
    Elector,
    Record,
    Sighting,
    decide,
    sight,
)

OTHER = Record(holder="other", renewed="t1", resource_version="1")


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        pytest.param(None, 0.0, Decision.CREATE, id="there is none"),
        pytest.param(Sighting(record=OTHER, since=0.0), LEASE_SECONDS, Decision.WAIT, id="another's, not yet run out"),
        pytest.param(Sighting(record=OTHER, since=0.0), LEASE_SECONDS + 0.1, Decision.TAKE, id="another's, run out"),
        pytest.param(Sighting(record=replace(OTHER, holder=""), since=0.0), 0.0, Decision.TAKE, id="released"),
        pytest.param(Sighting(record=replace(OTHER, holder="me"), since=0.0), 99.0, Decision.RENEW, id="ours"),
        pytest.param(
            Sighting(record=replace(OTHER, seconds=60.0), since=0.0),
            20.0,
            Decision.WAIT,
            id="with more time",
        ),
    ],
)
def test_what_is_done_about_the_lease(seen: Sighting | None, now: float, expected: Decision) -> None:
    assert decide(seen, now=now, me="me") is expected


def test_a_record_that_did_not_change_keeps_its_age_and_a_renewed_one_starts_anew() -> None:
    first = sight(None, OTHER, now=5.0)
    assert sight(first, OTHER, now=9.0).since == 5.0
    assert sight(first, replace(OTHER, renewed="t2"), now=9.0).since == 9.0


def test_the_holder_gives_up_before_others_may_take_over() -> None:
    assert RENEW_DEADLINE + 2 * RETRY_SECONDS < LEASE_SECONDS


@dataclass
class Cluster:
    """One lease on an API server that may be out of reach."""

    record: Record | None = None
    reachable: bool = True
    version: int = 0

    def read(self) -> Record | None:
        self._reach()
        return self.record

    def write(self, record: Record) -> Record:
        self._reach()
        held = self.record.resource_version if self.record else ""
        if record.resource_version != held:
            raise ConflictError(verb="update", target="Lease", code="409", message="changed")
        self.version += 1
        self.record = replace(record, resource_version=str(self.version))
        return self.record

    def _reach(self) -> None:
        if not self.reachable:
            raise UnavailableError(verb="get", target="Lease", code="none", message="no route")


@dataclass
class Replica:
    """A replica that stands for the lease on a clock of its own."""

    store: Cluster
    name: str
    now: float = 0.0
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.elector = Elector(
            self.store,
            me=self.name,
            on_elected=lambda: self.events.append("elected"),
            on_lost=lambda reason: self.events.append(f"lost: {reason}"),
            clock=lambda: self.now,
            timestamp=lambda: f"{self.name}@{self.now}",
        )

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.elector.step()
            self.now += RETRY_SECONDS


def test_the_first_replica_gets_the_lease_and_the_second_waits() -> None:
    store = Cluster()
    first, second = Replica(store, "first"), Replica(store, "second")
    for _ in range(20):
        first.steps(1)
        second.steps(1)
    assert first.elector.may_write()
    assert not second.elector.may_write()
    assert (first.events, second.events) == (["elected"], [])


def test_a_released_lease_is_taken_at_the_next_look() -> None:
    store = Cluster()
    first, second = Replica(store, "first"), Replica(store, "second")
    first.steps(2)
    second.steps(1)
    first.elector.release()
    assert not first.elector.may_write()
    second.steps(1)
    assert second.elector.may_write()


def test_the_lease_of_a_silent_holder_is_taken_only_after_its_whole_duration() -> None:
    store = Cluster()
    Replica(store, "silent").steps(1)
    second = Replica(store, "second")
    while not second.elector.may_write():
        second.steps(1)
    assert LEASE_SECONDS < second.now <= LEASE_SECONDS + 2 * RETRY_SECONDS


def test_a_holder_that_was_stopped_past_the_deadline_may_not_write_when_it_goes_on() -> None:
    replica = Replica(Cluster(), "leader")
    replica.steps(1)
    assert replica.elector.may_write()
    replica.now += RENEW_DEADLINE
    assert not replica.elector.may_write()
    replica.elector.step()
    assert replica.events[-1].startswith("lost")


def test_a_holder_that_was_stopped_for_a_moment_goes_on() -> None:
    replica = Replica(Cluster(), "leader")
    replica.steps(1)
    replica.now += RENEW_DEADLINE - RETRY_SECONDS - 0.5
    replica.steps(3)
    assert replica.events == ["elected"]


def test_the_lease_counts_from_when_the_renewal_was_begun_not_from_its_answer() -> None:
    store = Cluster()
    replica = Replica(store, "leader")
    write = store.write

    def slow_write(record: Record) -> Record:
        replica.now += 3.0
        return write(record)

    store.write = slow_write  # type: ignore[method-assign]
    replica.elector.step()
    replica.now = RENEW_DEADLINE - 0.1
    assert replica.elector.may_write()
    replica.now = RENEW_DEADLINE
    assert not replica.elector.may_write()


def test_a_holder_cut_off_from_the_api_server_gives_up_in_time() -> None:
    store = Cluster()
    replica = Replica(store, "leader")
    replica.steps(1)
    store.reachable = False
    replica.steps(7)
    assert any(event.startswith("lost") for event in replica.events)
    assert replica.now <= LEASE_SECONDS + RETRY_SECONDS


def test_a_short_outage_costs_nobody_the_lease() -> None:
    store = Cluster()
    replica = Replica(store, "leader")
    replica.steps(1)
    store.reachable = False
    replica.steps(2)
    store.reachable = True
    replica.steps(5)
    assert replica.events == ["elected"]


def test_a_holder_whose_lease_was_taken_gives_up_at_once() -> None:
    store = Cluster()
    replica = Replica(store, "leader")
    replica.steps(1)
    store.record = Record(holder="other", renewed="t", resource_version="99")
    replica.steps(1)
    assert replica.events[-1] == "lost: now held by 'other'"


def test_somebody_who_only_touched_the_lease_does_no_harm() -> None:
    store = Cluster()
    replica = Replica(store, "leader")
    replica.steps(1)
    assert store.record is not None
    store.record = replace(store.record, resource_version="99")
    replica.steps(3)
    assert replica.events == ["elected"]
    assert replica.elector.may_write()


def test_of_two_that_take_a_lease_at_once_one_gets_it() -> None:
    store = Cluster(record=replace(OTHER, holder=""))
    first, second = Replica(store, "first"), Replica(store, "second")
    first.elector._look()
    second.elector._look()
    first.steps(1)
    second.steps(1)
    assert [first.elector.may_write(), second.elector.may_write()] == [True, False]
