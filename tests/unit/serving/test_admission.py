"""Is load shed when there is too much of it, and only then?"""

from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadline_serving.admission import AdaptiveLimit, Admission, Bounds
from loadline_serving.errors import OverloadedError

SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What became of a minute of traffic."""

    answered: int
    refused: int
    longest_wait: float
    """Of those that came in the second half."""


def simulate(*, arrivals: float, slots: int, run: float) -> Simulated:
    """A server that takes up to `slots` waiting rows each `run` seconds, and `arrivals` rows a second."""
    admission = Admission(Bounds(rows=100_000), slots)
    assert admission.adaptive is not None
    queue: deque[float] = deque()
    now, arrived, answered, refused, longest = 0.0, 0.0, 0, 0, 0.0
    while now < SECONDS:
        while arrived <= now:
            try:
                admission.enter(1, 1)
                queue.append(arrived)
            except OverloadedError:
                refused += 1
            arrived += 1 / arrivals
        batch = [queue.popleft() for _ in range(min(slots, len(queue)))]
        if not batch:
            now = arrived
            continue
        if batch[0] > SECONDS / 2:
            longest = max(longest, now - batch[0])
        ended = now + run
        admission.adaptive.ran(ended, now - batch[-1], run, admission.rows)
        for _ in batch:
            admission.leave(1, 1)
        answered += len(batch)
        now = ended
    return Simulated(answered=answered, refused=refused, longest_wait=longest)


@pytest.mark.parametrize(
    ("slots", "run"), [(1, 0.01), (1, 0.1), (64, 0.01), (64, 0.2)], ids=["1x10ms", "1x100ms", "64x10ms", "64x200ms"]
)
@pytest.mark.parametrize("overload", [1.3, 3, 10])
def test_under_overload_the_queue_stays_short_and_the_model_stays_busy(slots: int, run: float, overload: float) -> None:
    capacity = slots / run
    found = simulate(arrivals=overload * capacity, slots=slots, run=run)
    assert found.answered >= 0.95 * capacity * SECONDS
    assert found.longest_wait <= 3 * max(AdaptiveLimit.TARGET_SECONDS, AdaptiveLimit.TARGET_RUNS * run)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(("slots", "run"), [(1, 0.01), (64, 0.01), (64, 0.2)])
def test_below_capacity_nothing_is_refused(slots: int, run: float, share: float) -> None:
    assert simulate(arrivals=share * slots / run, slots=slots, run=run).refused == 0


@given(
    st.integers(1, 512),
    st.integers(1, 8192),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.integers(0, 10_000)), max_size=50),
)
def test_the_limit_stays_between_a_full_batch_and_the_bound(
    slots: int, most: int, runs: list[tuple[float, float, int]]
) -> None:
    limit = AdaptiveLimit(slots, most)
    now = 0.0
    for wait, run, inside in runs:
        now += run + 1
        limit.ran(now, wait, run, inside)
        assert min(slots, most) <= limit.value <= most


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5000)), max_size=40))
def test_what_entered_and_left_leaves_nothing_behind(calls: list[tuple[int, int]]) -> None:
    admission = Admission(Bounds(rows=64, size=4096), slots=8)
    inside = []
    for rows, size in calls:
        try:
            admission.enter(rows, size)
        except OverloadedError:
            continue
        inside.append((rows, size))
        assert len(inside) == 1 or (admission.rows <= 64 and admission.size <= 4096)
    for rows, size in inside:
        admission.leave(rows, size)
    assert (admission.rows, admission.size, admission.full) == (0, 0, False)
