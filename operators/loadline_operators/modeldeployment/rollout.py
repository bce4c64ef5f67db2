"""Which revision gets which share next?

The order is that of every change of traffic in Loadline: a new revision gets pods, and only when they are ready a
millionth of the traffic; all but a millionth only when every Envoy shows it with healthy hosts; the old one leaves the
route only when nothing of it is running any more and the new one still has the pods that it needs, and loses its own
only when every Envoy has let go of it. Until then a new one that falls short of pods gives the traffic back to an old
one that has them; never does traffic move to an arm that has neither enough pods nor as many as the other.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from loadline_contracts.modeldeployment import TOTAL_WEIGHT

Step = Literal["Warming", "Entering", "Shifting", "Leaving"]
MILLIONTH: Final = 1
ALL_BUT_A_MILLIONTH: Final = TOTAL_WEIGHT - MILLIONTH


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A revision in the route."""

    revision: str
    slot: int
    weight: int
    name: Literal["stable", "canary"]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A revision with its place; ``since`` is when it took the role that it has."""

    revision: str
    slot: int
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Where a change of revision stands.

    ``stable`` carries the traffic that no other arm has, ``target`` is to take it over by ``step``; ``retiring`` ones
    have left the route and wait for every Envoy to have let go of them. ``acked_since`` is since when every Envoy shows
    the weights that ``arms`` wants.
    """

    stable: Member | None = None
    target: Member | None = None
    retiring: tuple[Member, ...] = ()
    step: Step | None = None
    since: datetime | None = None
    acked_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is seen of the revisions now."""

    target_ready: int = 0
    stable_ready: int = 0
    needed: int = 1
    acked: bool = False
    """Every Envoy shows exactly the weights that the step wants, and there is at least one Envoy."""
    target_healthy: bool = False
    """Every Envoy shows as many healthy hosts behind the target as are needed, in every route."""
    active_on_leaver: int = 0
    """Requests that Envoys still have running on the revision that leaves."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a step waits at the longest."""

    drain: timedelta
    """The gateway's time limit of a request: none runs longer."""
    grace: timedelta
    """How long a revision that left the route keeps its pods."""


def arms(rollout: Rollout) -> tuple[Arm, ...]:
    """Return the arms that the route shall have now, with weights that add up to all traffic."""
    stable, target = rollout.stable, rollout.target
    if stable is None:
        return ()
    if target is None or rollout.step in {None, "Warming"}:
        return (_arm(stable, TOTAL_WEIGHT, "stable"),)
    target_weight = ALL_BUT_A_MILLIONTH if rollout.step == "Shifting" else MILLIONTH
    return (
        _arm(stable, TOTAL_WEIGHT - target_weight, "stable"),
        _arm(target, target_weight, "canary"),
    )


def _arm(member: Member, weight: int, name: Literal["stable", "canary"]) -> Arm:
    return Arm(revision=member.revision, slot=member.slot, weight=weight, name=name)


def advance(rollout: Rollout, wanted: str | None, evidence: Evidence, limits: Limits, *, now: datetime) -> Rollout:
    """Take the one step that the evidence allows, or none.

    ``wanted`` is the revision that the spec asks for, None while that is not known: then a change that has begun goes
    on and none begins.
    """
    seen = _note_acknowledgement(rollout, evidence, now=now)
    stable = seen.stable
    if stable is None:
        return seen if wanted is None else replace(seen, stable=Member(revision=wanted, slot=0, since=now))
    seen = _let_go(seen, limits, now=now)
    goal = wanted or (seen.target or stable).revision
    match seen.step:
        case None:
            return seen if goal == stable.revision else _begin(seen, goal, now=now)
        case "Warming":
            return _warm(seen, goal, evidence, now=now)
        case "Entering":
            return _enter(seen, goal, evidence, now=now)
        case "Shifting":
            return _shift(seen, goal, evidence, limits, now=now)
        case "Leaving":
            return _leave(seen, goal, evidence, limits, now=now)


def _note_acknowledgement(rollout: Rollout, evidence: Evidence, *, now: datetime) -> Rollout:
    if not evidence.acked:
        return replace(rollout, acked_since=None)
    return rollout if rollout.acked_since else replace(rollout, acked_since=now)


def _let_go(rollout: Rollout, limits: Limits, *, now: datetime) -> Rollout:
    """Forget revisions that every Envoy has let go of for the grace time."""
    if rollout.acked_since is None:
        return rollout
    acked = rollout.acked_since
    kept = tuple(member for member in rollout.retiring if now - max(acked, member.since) < limits.grace)
    return replace(rollout, retiring=kept)


def _begin(rollout: Rollout, revision: str, *, now: datetime) -> Rollout:
    """Give a revision the place beside stable; one that is still retiring there comes back."""
    assert rollout.stable is not None  # noqa: S101 -- by the caller's match
    target = Member(revision=revision, slot=1 - rollout.stable.slot, since=now)
    retiring = tuple(member for member in rollout.retiring if member.revision != revision)
    return replace(rollout, target=target, retiring=retiring, step="Warming", since=now)


def _to(rollout: Rollout, step: Step, *, now: datetime) -> Rollout:
    return replace(rollout, step=step, since=now, acked_since=None)


def _warm(rollout: Rollout, goal: str, evidence: Evidence, *, now: datetime) -> Rollout:
    target = _target(rollout)
    if goal != target.revision:
        dropped = _without_target(rollout, now=now)
        return dropped if dropped.stable and goal == dropped.stable.revision else _begin(dropped, goal, now=now)
    # The slot is free only when no Envoy routes to the revision that had it before.
    ready = evidence.target_ready >= evidence.needed and not rollout.retiring and rollout.acked_since is not None
    return _to(rollout, "Entering", now=now) if ready else rollout


def _enter(rollout: Rollout, goal: str, evidence: Evidence, *, now: datetime) -> Rollout:
    if goal != _target(rollout).revision or evidence.target_ready == 0:
        return _to(rollout, "Leaving", now=now)
    if rollout.acked_since and evidence.target_healthy and evidence.target_ready >= evidence.needed:
        return _to(rollout, "Shifting", now=now)
    return rollout


def _shift(rollout: Rollout, goal: str, evidence: Evidence, limits: Limits, *, now: datetime) -> Rollout:
    if evidence.target_ready < evidence.needed:
        back = _may_go_back(evidence, changed_wish=goal != _target(rollout).revision)
        return _to(rollout, "Leaving", now=now) if back else rollout
    if not _drained(rollout, evidence, limits, now=now):
        return rollout
    stable, target = rollout.stable, _target(rollout)
    old = () if stable is None else (replace(stable, since=now),)
    return replace(
        rollout,
        stable=replace(target, since=now),
        target=None,
        retiring=(*rollout.retiring, *old),
        step=None,
        since=None,
        acked_since=None,
    )


def _may_go_back(evidence: Evidence, *, changed_wish: bool) -> bool:
    """Return whether the traffic of a target that is short of pods is better off with stable."""
    if evidence.stable_ready >= evidence.needed or evidence.target_ready == 0:
        return evidence.stable_ready > 0
    # Neither has what is needed, as after an edit of replicas: which of them gets there first is left to show.
    return changed_wish and evidence.stable_ready >= evidence.target_ready


def _leave(rollout: Rollout, goal: str, evidence: Evidence, limits: Limits, *, now: datetime) -> Rollout:
    still_wanted = goal == _target(rollout).revision
    if still_wanted and evidence.stable_ready < evidence.needed <= evidence.target_ready:
        # The weights are those of Entering: the target can take the traffic without leaving first.
        return _to(rollout, "Entering", now=now)
    if not _drained(rollout, evidence, limits, now=now):
        return rollout
    if still_wanted:
        return _to(rollout, "Warming", now=now)
    return replace(_without_target(rollout, now=now), acked_since=None)


def _drained(rollout: Rollout, evidence: Evidence, limits: Limits, *, now: datetime) -> bool:
    if rollout.acked_since is None:
        return False
    return evidence.active_on_leaver == 0 or now - rollout.acked_since >= limits.drain


def _without_target(rollout: Rollout, *, now: datetime) -> Rollout:
    left = replace(_target(rollout), since=now)
    return replace(rollout, target=None, retiring=(*rollout.retiring, left), step=None, since=None)


def _target(rollout: Rollout) -> Member:
    assert rollout.target is not None  # noqa: S101 -- every step but None has a target
    return rollout.target
