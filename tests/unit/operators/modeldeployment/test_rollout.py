from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from loadline_contracts.modeldeployment import TOTAL_WEIGHT
from loadline_operators.modeldeployment.rollout import (
    ALL_BUT_A_MILLIONTH,
    Evidence,
    Limits,
    Member,
    Rollout,
    Step,
    advance,
    arms,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LIMITS = Limits(drain=timedelta(seconds=30), grace=timedelta(seconds=5))
STEADY = Rollout(stable=Member(revision="a", slot=0, since=NOW), acked_since=NOW)
SEEN = Evidence(target_ready=2, stable_ready=2, needed=2, acked=True, target_healthy=True)

evidences = st.builds(
    Evidence,
    target_ready=st.integers(0, 3),
    stable_ready=st.integers(0, 3),
    needed=st.just(2),
    acked=st.booleans(),
    target_healthy=st.booleans(),
    active_on_leaver=st.integers(0, 1),
)
events = st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), evidences, st.integers(0, 60)), max_size=60)
History = list[tuple[str | None, Evidence, int]]


def weights(rollout: Rollout) -> dict[str, int]:
    return {arm.revision: arm.weight for arm in arms(rollout)}


def most(rollout: Rollout) -> str | None:
    """Name the revision that has most of the traffic."""
    return max(arms(rollout), key=lambda arm: arm.weight).revision if rollout.stable else None


def at(step: Step, *, acked_since: datetime | None = None) -> Rollout:
    return replace(
        STEADY, target=Member(revision="b", slot=1, since=NOW), step=step, since=NOW, acked_since=acked_since
    )


starts = st.sampled_from([Rollout(), STEADY, *(at(step, acked_since=NOW) for step in get_args(Step))])


def walk(rollout: Rollout, history: History) -> Iterator[tuple[Rollout, Evidence, Rollout]]:
    """Look again and again; each look as before, evidence, after."""
    now = NOW
    for wanted, evidence, seconds in history:
        now += timedelta(seconds=seconds)
        before, rollout = rollout, advance(rollout, wanted, evidence, LIMITS, now=now)
        yield before, evidence, rollout


def test_the_first_revision_takes_the_whole_route_at_once() -> None:
    assert weights(advance(Rollout(), "a", Evidence(), LIMITS, now=NOW)) == {"a": TOTAL_WEIGHT}


def test_a_new_revision_gets_pods_before_it_gets_traffic() -> None:
    rollout = advance(STEADY, "b", Evidence(acked=True, needed=2), LIMITS, now=NOW)

    assert (rollout.step, rollout.target) == ("Warming", Member(revision="b", slot=1, since=NOW))
    assert weights(rollout) == {"a": TOTAL_WEIGHT}


def test_a_target_with_one_pod_short_stays_out_of_the_route() -> None:
    short = replace(SEEN, target_ready=1)

    assert advance(at("Warming"), "b", short, LIMITS, now=NOW).step == "Warming"


def test_a_warmed_target_enters_at_a_millionth() -> None:
    rollout = advance(at("Warming"), "b", SEEN, LIMITS, now=NOW)

    assert weights(rollout) == {"a": ALL_BUT_A_MILLIONTH, "b": 1}


def test_traffic_shifts_only_when_every_envoy_shows_the_target_healthy() -> None:
    unhealthy = advance(at("Entering"), "b", replace(SEEN, target_healthy=False), LIMITS, now=NOW)
    unseen = advance(at("Entering"), "b", replace(SEEN, acked=False), LIMITS, now=NOW)
    seen = advance(at("Entering"), "b", SEEN, LIMITS, now=NOW)

    assert (unhealthy.step, unseen.step, seen.step) == ("Entering", "Entering", "Shifting")
    assert weights(seen) == {"a": 1, "b": ALL_BUT_A_MILLIONTH}


def test_the_old_revision_stays_in_the_route_while_requests_run_on_it() -> None:
    rollout = advance(at("Shifting"), "b", replace(SEEN, active_on_leaver=1), LIMITS, now=NOW)

    assert weights(rollout) == {"a": 1, "b": ALL_BUT_A_MILLIONTH}


def test_a_request_that_never_ends_holds_the_old_revision_no_longer_than_the_time_limit() -> None:
    busy = replace(SEEN, active_on_leaver=1)
    rollout = advance(at("Shifting", acked_since=NOW), "b", busy, LIMITS, now=NOW + LIMITS.drain)

    assert weights(rollout) == {"b": TOTAL_WEIGHT}


def test_the_old_revision_keeps_its_pods_until_every_envoy_let_go_of_it_for_the_grace_time() -> None:
    promoted = advance(at("Shifting"), "b", SEEN, LIMITS, now=NOW)
    unseen = advance(promoted, "b", replace(SEEN, acked=False), LIMITS, now=NOW + timedelta(hours=1))
    acked = advance(promoted, "b", SEEN, LIMITS, now=NOW)
    over = advance(acked, "b", SEEN, LIMITS, now=NOW + LIMITS.grace)

    assert [member.revision for member in unseen.retiring] == ["a"]
    assert [member.revision for member in acked.retiring] == ["a"]
    assert over.retiring == ()


def test_a_promoted_revision_keeps_its_slot() -> None:
    promoted = advance(at("Shifting"), "b", SEEN, LIMITS, now=NOW)

    assert [(arm.revision, arm.slot) for arm in arms(promoted)] == [("b", 1)]


def test_a_target_that_loses_its_pods_gives_the_traffic_back() -> None:
    gone = replace(SEEN, target_ready=0)
    leaving = advance(at("Shifting", acked_since=NOW), "b", gone, LIMITS, now=NOW)

    assert weights(leaving) == {"a": ALL_BUT_A_MILLIONTH, "b": 1}
    assert advance(leaving, "b", replace(gone, acked=True), LIMITS, now=NOW).step == "Warming"


def test_a_target_that_is_one_pod_short_gives_the_traffic_back_at_once() -> None:
    short = replace(SEEN, target_ready=1)

    assert advance(at("Shifting", acked_since=NOW), "b", short, LIMITS, now=NOW).step == "Leaving"


def test_a_target_that_is_short_keeps_the_traffic_that_the_old_revision_could_not_carry_either() -> None:
    both_short = replace(SEEN, target_ready=1, stable_ready=1)
    held = advance(at("Shifting", acked_since=NOW), "b", both_short, LIMITS, now=NOW + LIMITS.drain)

    assert (held.step, weights(held)) == ("Shifting", {"a": 1, "b": ALL_BUT_A_MILLIONTH})


def test_one_pod_of_the_target_is_better_than_none_of_the_old_revision_and_the_other_way_round() -> None:
    shifting = at("Shifting", acked_since=NOW)
    only_target = advance(shifting, "b", replace(SEEN, target_ready=1, stable_ready=0), LIMITS, now=NOW)
    only_stable = advance(shifting, "b", replace(SEEN, target_ready=0, stable_ready=1), LIMITS, now=NOW)

    assert (only_target.step, only_stable.step) == ("Shifting", "Leaving")


def test_more_replicas_asked_for_while_traffic_shifts_are_waited_for_where_the_traffic_is() -> None:
    rollout = at("Shifting", acked_since=NOW)
    steps = []
    for target_ready, stable_ready in [(2, 2), (2, 3), (3, 3), (4, 3)]:
        grown = replace(SEEN, needed=4, target_ready=target_ready, stable_ready=stable_ready)
        rollout = advance(rollout, "b", grown, LIMITS, now=NOW)
        steps.append(rollout.step)

    assert steps == ["Shifting", "Shifting", "Shifting", None]
    assert weights(rollout) == {"b": TOTAL_WEIGHT}


def test_a_change_of_mind_is_heard_when_the_target_is_short_for_good() -> None:
    short = replace(SEEN, needed=4)

    assert advance(at("Shifting", acked_since=NOW), "a", short, LIMITS, now=NOW).step == "Leaving"


def test_a_target_that_recovers_takes_over_from_an_old_revision_that_fails_before_it_has_left() -> None:
    running = replace(SEEN, stable_ready=0, active_on_leaver=1)
    rollout = at("Leaving", acked_since=NOW)
    entering = advance(rollout, "b", running, LIMITS, now=NOW)
    shifting = advance(entering, "b", running, LIMITS, now=NOW)

    assert weights(entering) == weights(rollout)
    assert weights(shifting) == {"a": 1, "b": ALL_BUT_A_MILLIONTH}


def test_a_change_of_mind_while_warming_costs_no_traffic() -> None:
    rollout = advance(at("Warming"), "a", SEEN, LIMITS, now=NOW)

    assert (rollout.step, weights(rollout)) == (None, {"a": TOTAL_WEIGHT})
    assert [member.revision for member in rollout.retiring] == ["b"]


def test_an_unknown_wish_lets_a_change_that_began_go_on_and_begins_none() -> None:
    assert advance(at("Entering"), None, SEEN, LIMITS, now=NOW).step == "Shifting"
    assert advance(STEADY, None, SEEN, LIMITS, now=NOW) == STEADY


@given(events)
def test_in_any_order_of_events_the_weights_add_up_and_the_stable_revision_is_never_lost(
    history: History,
) -> None:
    for before, evidence, rollout in walk(Rollout(), history):
        placed = arms(rollout)
        assert sum(arm.weight for arm in placed) == (TOTAL_WEIGHT if rollout.stable else 0)
        assert len({arm.slot for arm in placed}) == len(placed)
        members = [m for m in (rollout.stable, rollout.target, *rollout.retiring) if m]
        assert len({m.revision for m in members}) == len(members)
        if before.stable and rollout.stable != before.stable:
            assert before.step == "Shifting"
            assert evidence.acked


@given(events)
def test_no_arm_jumps_from_nothing_to_all_or_back(history: History) -> None:
    for earlier, _, later in walk(Rollout(), history):
        before, after = weights(earlier), weights(later)
        if before:
            for revision in before.keys() | after.keys():
                pair = {before.get(revision, 0), after.get(revision, 0)}
                assert pair != {0, TOTAL_WEIGHT}


@given(starts, events)
def test_no_revision_is_promoted_with_fewer_ready_pods_than_are_needed(start: Rollout, history: History) -> None:
    for before, evidence, after in walk(start, history):
        if before.stable and after.stable != before.stable:
            assert evidence.target_ready >= evidence.needed


@given(starts, events)
def test_traffic_moves_only_to_an_arm_that_has_enough_ready_pods_or_as_many_as_the_other(
    start: Rollout, history: History
) -> None:
    for before, evidence, after in walk(start, history):
        if before.stable and most(after) != most(before):
            to_target = before.target is not None and most(after) == before.target.revision
            ready = (evidence.target_ready, evidence.stable_ready)
            gets, gives = ready if to_target else reversed(ready)
            assert gets > 0
            assert gets >= min(evidence.needed, gives)


@given(starts, evidences, st.sampled_from(["a", "b", "c", None]))
def test_in_a_world_that_stays_as_it_is_a_rollout_comes_to_rest(
    start: Rollout, evidence: Evidence, wanted: str | None
) -> None:
    looks = [after for _, _, after in walk(start, [(wanted, evidence, 30)] * 20)]

    assert looks[-1] == looks[-2]


@given(starts, events, st.sampled_from(["a", "b"]), st.integers(0, 3))
def test_with_a_healthy_target_every_history_ends_at_the_wanted_revision(
    start: Rollout, history: History, wanted: str, stable_ready: int
) -> None:
    healthy = replace(SEEN, stable_ready=stable_ready)
    *_, (_, _, last) = walk(start, [*history, *[(wanted, healthy, 10)] * 20])

    assert weights(last) == {wanted: TOTAL_WEIGHT}
    assert (last.target, last.retiring) == (None, ())
