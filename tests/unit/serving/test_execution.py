"""Do requests that come together run together, each with its own answer, and none at another's cost?"""

import asyncio
import threading
import weakref
from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np
import pytest
from loadline_serving.admission import Bounds, Concurrency
from loadline_serving.datatypes import Array
from loadline_serving.errors import (
    DeadlineExceededError,
    InferenceFailedError,
    InternalFaultError,
    NotReadyError,
    OverloadedError,
)
from loadline_serving.execution import TOO_LONG_INLINE_SECONDS, Executor, Rules
from loadline_serving.inference import InferRequest, Slot
from loadline_serving.metrics import Stages
from loadline_serving.pace import Pace
from support.scripted_model import Run, ScriptedModel, rows
from support.signatures import IDENTITY

INLINE = Pace(inline=True, rows=8)
IN_THREAD = Pace(inline=False, rows=8)
PACES = pytest.mark.parametrize("pace", [INLINE, IN_THREAD], ids=["inline", "thread"])


class World:
    """An executor around a model that does what the test says."""

    def __init__(self, run: Run | None = None, *, pace: Pace = INLINE, rules: Rules | None = None) -> None:
        self.model = ScriptedModel() if run is None else ScriptedModel(run)
        self.slot = Slot(IDENTITY)
        self.slot.put(self.model, pace)
        self.stages = Stages()
        self.executor = Executor(self.slot, rules or Rules(), self.stages)

    async def ask(self, tensor: Array, deadline: float = float("inf")) -> Array:
        (answer,) = await self.executor.infer(request(tensor), deadline)
        return answer

    async def ask_all(self, tensors: Sequence[Array]) -> list[Array | BaseException]:
        return await asyncio.gather(*(self.ask(tensor) for tensor in tensors), return_exceptions=True)


def request(tensor: Array) -> InferRequest:
    return InferRequest(id=None, feeds={"x": tensor}, outputs=("y",))


def fails_on(bad: float) -> Run:
    def run(feeds: Mapping[str, Array]) -> list[Array]:
        if (feeds["x"] == bad).any():
            raise InferenceFailedError(f"cannot do {bad}")
        return [feeds["x"] * 2]

    return run


class Gate:
    """Holds a run up until the test opens it."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.entered = threading.Event()

    def __call__(self, feeds: Mapping[str, Array]) -> list[Array]:
        self.entered.set()
        assert self._opened.wait(10)
        return [feeds["x"] * 2]

    def open(self) -> None:
        self._opened.set()

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 10)


@PACES
async def test_requests_of_one_turn_run_together_and_each_gets_its_own_rows(pace: Pace) -> None:
    world = World(pace=pace)
    asked = [rows(1), rows(10, 2), rows(20, 3)]
    answers = await world.ask_all(asked)
    assert world.model.runs == [6]
    for tensor, answer in zip(asked, answers, strict=True):
        np.testing.assert_array_equal(answer, tensor * 2)


@PACES
async def test_no_run_has_more_rows_than_the_pace_allows(pace: Pace) -> None:
    world = World(pace=pace)
    await world.ask_all([rows(10 * n, 3) for n in range(5)])
    assert sum(world.model.runs) == 15
    assert max(world.model.runs) <= pace.rows


async def test_a_request_of_more_rows_than_a_run_has_runs_alone() -> None:
    world = World()
    await world.ask_all([rows(0, 20), rows(100)])
    assert sorted(world.model.runs) == [1, 20]


async def test_requests_of_other_shapes_or_outputs_run_apart() -> None:
    world = World()
    wide = np.ones((1, 3), np.float32)
    answers = await world.ask_all([rows(1), wide, rows(2), wide])
    assert world.model.runs == [2, 2]
    assert [answer.shape for answer in answers if isinstance(answer, np.ndarray)] == [(1, 2), (1, 3), (1, 2), (1, 3)]


async def test_where_rows_may_not_run_together_each_request_runs_alone() -> None:
    world = World(pace=Pace(inline=True, rows=1))
    await world.ask_all([rows(1), rows(2, 4)])
    assert world.model.runs == [1, 4]


@PACES
async def test_a_row_that_the_model_fails_on_costs_only_its_own_request(pace: Pace) -> None:
    world = World(fails_on(7), pace=pace)
    good, bad, other = await world.ask_all([rows(1), rows(7), rows(2)])
    assert isinstance(bad, InferenceFailedError)
    np.testing.assert_array_equal(good, rows(1) * 2)
    np.testing.assert_array_equal(other, rows(2) * 2)


async def test_a_model_that_answers_with_another_number_of_rows_is_asked_one_by_one() -> None:
    world = World(lambda feeds: [feeds["x"].sum(axis=0, keepdims=True)])
    one, other = await world.ask_all([rows(1), rows(5)])
    np.testing.assert_array_equal(one, rows(1))
    np.testing.assert_array_equal(other, rows(5))


@PACES
async def test_a_fault_of_ours_is_told_and_the_next_request_runs(pace: Pace, caplog: pytest.LogCaptureFixture) -> None:
    faults = iter([ZeroDivisionError("a fault"), None])

    def run(feeds: Mapping[str, Array]) -> list[Array]:
        if (fault := next(faults)) is not None:
            raise fault
        return [feeds["x"]]

    world = World(run, pace=pace)
    with pytest.raises(InternalFaultError):
        await world.ask(rows(1))
    np.testing.assert_array_equal(await world.ask(rows(1)), rows(1))
    assert "a fault" in caplog.text
    assert world.executor.rows_inside == 0


async def test_a_deadline_that_passed_in_the_queue_is_told_before_the_model_runs() -> None:
    gate = Gate()
    world = World(gate, pace=IN_THREAD)
    running = asyncio.create_task(world.ask(rows(1)))
    await gate.until_entered()
    late = asyncio.create_task(world.ask(rows(2), deadline=perf_counter() + 0.01))
    await asyncio.sleep(0.05)
    gate.open()
    with pytest.raises(DeadlineExceededError, match="deadline passed"):
        await late
    await running
    assert world.model.runs == [1]


async def test_without_a_deadline_of_its_own_a_request_has_the_servers() -> None:
    world = World(rules=Rules(timeout=-1))
    with pytest.raises(DeadlineExceededError):
        await world.ask(rows(1))
    assert world.model.runs == []


async def test_what_comes_while_the_model_runs_is_the_next_batch() -> None:
    gate = Gate()
    world = World(gate, pace=IN_THREAD)
    first = asyncio.create_task(world.ask(rows(1)))
    await gate.until_entered()
    later = [asyncio.create_task(world.ask(rows(n))) for n in range(2, 6)]
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, *later)
    assert world.model.runs == [1, 4]


async def test_with_a_wait_set_a_batch_stays_open_until_it_is_full() -> None:
    world = World(rules=Rules(batch_wait=30))
    asked = []
    for n in range(8):
        asked.append(asyncio.create_task(world.ask(rows(n))))
        await asyncio.sleep(0.001)
        assert n == 7 or not world.model.runs
    await asyncio.gather(*asked)
    assert world.model.runs == [8]


async def test_a_batch_that_does_not_fill_waits_no_longer_than_set() -> None:
    world = World(rules=Rules(batch_wait=0.05))
    begun = perf_counter()
    await world.ask(rows(1))
    assert perf_counter() - begun >= 0.05
    assert world.stages.batch_wait.total >= 0.045


async def test_a_caller_that_goes_away_gives_its_place_to_the_next() -> None:
    gate = Gate()
    bounds = Bounds(rows=2, concurrency=Concurrency.UNLIMITED)
    world = World(gate, pace=Pace(inline=False, rows=1), rules=Rules(bounds=bounds))
    running = asyncio.create_task(world.ask(rows(1)))
    await gate.until_entered()
    waiting = asyncio.create_task(world.ask(rows(2)))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await world.ask(rows(3))
    waiting.cancel()
    await asyncio.sleep(0)
    third = asyncio.create_task(world.ask(rows(3)))
    await asyncio.sleep(0)
    gate.open()
    np.testing.assert_array_equal(await third, rows(3) * 2)
    await running
    assert world.model.runs == [1, 1]
    assert world.executor.rows_inside == 0


@pytest.mark.parametrize(
    ("bounds", "asked"),
    [
        (Bounds(rows=4, concurrency=Concurrency.UNLIMITED), [rows(0, 3), rows(0, 2)]),
        (Bounds(size=30, concurrency=Concurrency.UNLIMITED), [rows(0, 3), rows(0, 2)]),
    ],
    ids=["rows", "bytes"],
)
async def test_what_the_queue_has_no_room_for_is_refused_with_the_figures(bounds: Bounds, asked: list[Array]) -> None:
    world = World(rules=Rules(bounds=bounds))
    fits, refused = await world.ask_all(asked)
    assert isinstance(fits, np.ndarray)
    assert isinstance(refused, OverloadedError)
    assert "3 rows and 24 bytes are waiting or running" in refused.message
    assert world.executor.rows_inside == 0


async def test_a_request_larger_than_every_bound_is_answered_when_nothing_else_is_inside() -> None:
    world = World(rules=Rules(bounds=Bounds(rows=1, size=1)))
    assert (await world.ask(rows(0, 50))).shape == (50, 2)


async def test_before_there_is_a_model_requests_are_told_so() -> None:
    executor = Executor(Slot(IDENTITY), Rules(), Stages())
    with pytest.raises(NotReadyError):
        await executor.infer(request(rows(1)))


async def test_the_stages_tell_waiting_for_the_model_from_waiting_for_each_other() -> None:
    gate = Gate()
    world = World(gate, pace=Pace(inline=False, rows=1))
    first = asyncio.create_task(world.ask(rows(1)))
    await gate.until_entered()
    second = asyncio.create_task(world.ask(rows(2)))
    await asyncio.sleep(0.05)
    gate.open()
    await asyncio.gather(first, second)
    assert world.stages.queue.total >= 0.045
    assert world.stages.batch_wait.total < 0.045
    assert world.stages.run.total >= 0.045
    assert sum(world.stages.batch_rows.counts) == 2


async def test_nothing_is_kept_of_a_call_that_was_given_up_while_it_waited() -> None:
    gate = Gate()
    world = World(gate, pace=IN_THREAD)
    running = asyncio.create_task(world.ask(rows(1)))
    await gate.until_entered()
    tensor = rows(2, 1000)
    watched = weakref.ref(tensor)
    waiting = asyncio.create_task(world.ask(tensor))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    del tensor, waiting
    assert watched() is None
    gate.open()
    await running


async def test_while_the_model_runs_those_whose_deadline_passes_are_told() -> None:
    gate = Gate()
    world = World(gate, pace=IN_THREAD)
    running = asyncio.create_task(world.ask(rows(1)))
    await gate.until_entered()
    late = asyncio.create_task(world.ask(rows(2), deadline=perf_counter()))
    await asyncio.sleep(0)
    world.executor.expire()
    with pytest.raises(DeadlineExceededError):
        await late
    gate.open()
    await running


async def test_a_request_of_more_rows_than_a_run_has_does_not_hold_up_the_event_loop() -> None:
    gate = Gate()
    world = World(gate, pace=INLINE)
    large = asyncio.create_task(world.ask(rows(0, INLINE.rows + 1)))
    await gate.until_entered()
    gate.open()
    assert len(await large) == INLINE.rows + 1


async def test_runs_that_turn_out_long_leave_the_event_loop_for_good() -> None:
    gate = Gate()

    def run(feeds: Mapping[str, Array]) -> list[Array]:
        if world.model.runs == [1]:
            threading.Event().wait(2 * TOO_LONG_INLINE_SECONDS)
            return [feeds["x"]]
        return gate(feeds)

    world = World(run)
    await world.ask(rows(1))
    second = asyncio.create_task(world.ask(rows(2)))
    await gate.until_entered()
    gate.open()
    await second
