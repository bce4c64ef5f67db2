from dataclasses import replace
from datetime import UTC, datetime, timedelta

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


def weights(rollout: Rollout) -> dict[str, int]:
    return {arm.revision: arm.weight for arm in arms(rollout)}


def at(step: Step, *, acked_since: datetime | None = None) -> Rollout:
    return replace(
        STEADY, target=Member(revision="b", slot=1, since=NOW), step=step, since=NOW, acked_since=acked_since
    )


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


def test_a_change_of_mind_while_warming_costs_no_traffic() -> None:
    rollout = advance(at("Warming"), "a", SEEN, LIMITS, now=NOW)

    assert (rollout.step, weights(rollout)) == (None, {"a": TOTAL_WEIGHT})
    assert [member.revision for member in rollout.retiring] == ["b"]


def test_an_unknown_wish_lets_a_change_that_began_go_on_and_begins_none() -> None:
    assert advance(at("Entering"), None, SEEN, LIMITS, now=NOW).step == "Shifting"
    assert advance(STEADY, None, SEEN, LIMITS, now=NOW) == STEADY


@given(events)
def test_in_any_order_of_events_the_weights_add_up_and_the_stable_revision_is_never_lost(
    history: list[tuple[str | None, Evidence, int]],
) -> None:
    rollout, now = Rollout(), NOW
    for wanted, evidence, seconds in history:
        now += timedelta(seconds=seconds)
        before, rollout = rollout, advance(rollout, wanted, evidence, LIMITS, now=now)
        placed = arms(rollout)
        assert sum(arm.weight for arm in placed) == (TOTAL_WEIGHT if rollout.stable else 0)
        assert len({arm.slot for arm in placed}) == len(placed)
        members = [m for m in (rollout.stable, rollout.target, *rollout.retiring) if m]
        assert len({m.revision for m in members}) == len(members)
        if before.stable and rollout.stable != before.stable:
            assert before.step == "Shifting"
            assert evidence.acked


@given(events)
def test_no_arm_jumps_from_nothing_to_all_or_back(history: list[tuple[str | None, Evidence, int]]) -> None:
    rollout, now = Rollout(), NOW
    for wanted, evidence, seconds in history:
        now += timedelta(seconds=seconds)
        before, rollout = weights(rollout), advance(rollout, wanted, evidence, LIMITS, now=now)
        after = weights(rollout)
        if before:
            for revision in before.keys() | after.keys():
                pair = {before.get(revision, 0), after.get(revision, 0)}
                assert pair != {0, TOTAL_WEIGHT}


@given(events, st.sampled_from(["a", "b"]))
def test_with_good_evidence_every_history_ends_at_the_wanted_revision(
    history: list[tuple[str | None, Evidence, int]], wanted: str
) -> None:
    rollout, now = Rollout(), NOW
    for wish, evidence, seconds in history:
        now += timedelta(seconds=seconds)
        rollout = advance(rollout, wish, evidence, LIMITS, now=now)
    for _ in range(20):
        now += timedelta(seconds=10)
        rollout = advance(rollout, wanted, SEEN, LIMITS, now=now)

    assert weights(rollout) == {wanted: TOTAL_WEIGHT}
    assert (rollout.target, rollout.retiring) == (None, ())
