"""Claims about which object is looked at next."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from loadline_operators.work_queue import FIRST_BACKOFF, LONGEST_BACKOFF, Again, Schedule, WorkQueue, backoff
from support import virtual_time


def test_a_key_asked_for_many_times_is_looked_at_once() -> None:
    schedule: Schedule[str] = Schedule()
    for _ in range(5):
        schedule.add("a", due=0.0, now=0.0)
    assert schedule.take(now=0.0) == ("a", 0.0)
    assert schedule.take(now=0.0) is None


def test_a_key_asked_for_while_it_runs_is_looked_at_once_more_afterwards() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", due=0.0, now=0.0)
    schedule.take(now=0.0)
    schedule.add("a", due=1.0, now=1.0)
    schedule.add("a", due=2.0, now=2.0)
    assert schedule.take(now=2.0) is None
    schedule.finish("a", now=3.0)
    assert schedule.take(now=3.0) == ("a", 1.0)


def test_of_several_times_for_a_key_the_earliest_counts() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", due=10.0, now=0.0)
    schedule.add("a", due=5.0, now=0.0)
    schedule.add("a", due=20.0, now=0.0)
    assert schedule.next_due(now=0.0) == 5.0
    assert schedule.take(now=5.0) == ("a", 5.0)
    schedule.finish("a", now=6.0)
    assert schedule.next_due(now=6.0) is None


def test_keys_are_taken_in_the_order_in_which_they_were_due() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("late", due=2.0, now=0.0)
    schedule.add("early", due=1.0, now=0.0)
    assert [schedule.take(now=3.0), schedule.take(now=3.0)] == [("early", 1.0), ("late", 2.0)]


def test_a_full_queue_refuses_further_keys_and_says_so() -> None:
    schedule: Schedule[str] = Schedule(limit=1)
    assert schedule.add("a", due=0.0, now=0.0)
    assert not schedule.add("b", due=0.0, now=0.0)


@given(wishes=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 50), st.booleans()), max_size=40))
def test_no_key_runs_twice_at_once_and_none_is_lost(wishes: list[tuple[str, float, bool]]) -> None:
    schedule: Schedule[str] = Schedule()
    running: list[str] = []
    taken: set[str] = set()
    now = 0.0
    for key, delay, take in wishes:
        now += 1.0
        schedule.add(key, due=now + delay, now=now)
        if take and (found := schedule.take(now=now)):
            assert found[0] not in running
            running.append(found[0])
            taken.add(found[0])
        elif running:
            schedule.finish(running.pop(), now=now)
    for key in running:
        schedule.finish(key, now=1000.0)
    while found := schedule.take(now=1000.0):
        taken.add(found[0])
        schedule.finish(found[0], now=1000.0)
    assert taken == {key for key, _, _ in wishes}


@given(failures=st.integers(1, 1000), luck=st.floats(0, 1, exclude_max=True))
def test_back_off_grows_with_every_failure_and_has_a_limit(failures: int, luck: float) -> None:
    wait = backoff(failures, luck=luck)
    assert FIRST_BACKOFF / 2 <= wait <= LONGEST_BACKOFF
    assert wait <= backoff(failures + 1, luck=luck)


class World:
    """A queue, what it looked at and when."""

    def __init__(
        self, look: Callable[[str], Awaitable[Again]] | None = None, keys: Iterable[str] = (), workers: int = 2
    ) -> None:
        self.looks: list[tuple[float, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self._look = look
        self.queue = WorkQueue(self.look, all_keys=lambda: keys, workers=workers, rng=random.Random(1))  # noqa: S311

    async def look(self, key: str) -> Again:
        self.looks.append((asyncio.get_running_loop().time(), key))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._look(key) if self._look else Again()
        finally:
            self.at_once -= 1

    async def run(self, *, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.queue.run()


def test_a_key_is_looked_at_again_when_the_look_says_so() -> None:
    async def again(_: str) -> Again:
        return Again(after=10.0)

    world = World(again)

    async def scene() -> None:
        world.queue.add("a")
        await world.run(seconds=35)

    virtual_time.run(scene())
    assert [at for at, _ in world.looks] == [0.0, 10.0, 20.0, 30.0]


def test_failures_in_a_row_are_tried_again_ever_more_slowly() -> None:
    async def fail(_: str) -> Again:
        return Again(failed=True)

    world = World(fail)

    async def scene() -> None:
        world.queue.add("a")
        await world.run(seconds=300)

    virtual_time.run(scene())
    times = [at for at, _ in world.looks]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert 8 <= len(times) <= 20
    assert max(waits) <= LONGEST_BACKOFF
    assert waits[0] < 1 < waits[-1]


def test_a_look_that_raises_is_tried_again_and_harms_no_other() -> None:
    async def stumble(key: str) -> Again:
        if key == "bad":
            raise ZeroDivisionError
        return Again()

    world = World(stumble)

    async def scene() -> None:
        world.queue.add("bad")
        world.queue.add("good")
        await world.run(seconds=3)

    virtual_time.run(scene())
    assert "good" in {key for _, key in world.looks}
    assert sum(key == "bad" for _, key in world.looks) > 1


def test_no_more_keys_are_looked_at_at_once_than_there_are_workers() -> None:
    async def slow(_: str) -> Again:
        await asyncio.sleep(1)
        return Again()

    world = World(slow, workers=3)

    async def scene() -> None:
        for number in range(10):
            world.queue.add(f"key-{number}")
        await world.run(seconds=60)

    virtual_time.run(scene())
    assert len(world.looks) == 10
    assert world.most_at_once == 3


def test_every_key_is_looked_at_from_time_to_time_without_being_asked_for() -> None:
    world = World(keys=("a", "b"))
    virtual_time.run(world.run(seconds=3 * 660))
    seen = [key for _, key in world.looks]
    assert 2 <= seen.count("a") <= 4
    assert 2 <= seen.count("b") <= 4


def test_a_key_that_waits_is_woken_by_a_wish() -> None:
    async def again(_: str) -> Again:
        return Again(after=100.0)

    world = World(again)

    async def scene() -> None:
        world.queue.add("a")
        asyncio.get_running_loop().call_later(5, world.queue.add, "a")
        await world.run(seconds=20)

    virtual_time.run(scene())
    assert [at for at, _ in world.looks] == [0.0, 5.0]


def test_the_longest_wait_is_that_of_the_key_that_was_due_first() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", due=1.0, now=0.0)
    schedule.add("b", due=3.0, now=0.0)
    assert schedule.oldest_wait(now=0.5) == 0.0
    assert schedule.oldest_wait(now=4.0) == 3.0
