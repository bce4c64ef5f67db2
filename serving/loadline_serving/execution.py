"""How do the requests of all protocols meet the model?

What arrives in the same turn of the event loop runs together, whichever protocol it came by: the rows are put into
one batch, and each request gets its own back. While the model runs in a thread, what arrives meanwhile is the next
batch; with a wait set, a batch that is not full stays open for so long.
"""

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from typing_extensions import override

from loadline_serving.admission import Admission, Bounds
from loadline_serving.datatypes import Array
from loadline_serving.errors import DeadlineExceededError, InferenceFailedError, InternalFaultError, RequestError
from loadline_serving.inference import InferRequest, Model, Slot
from loadline_serving.metrics import Stages
from loadline_serving.pace import Pace

log = logging.getLogger(__name__)

Results = Sequence[Array]
Key = tuple[Any, ...]
_NEVER = float("inf")
TOO_LONG_INLINE_SECONDS = 0.05
"""A run in the event loop that took longer was no exception of the machine's."""
STUCK_SECONDS = 600.0
"""A run that takes longer will not end: liveness says so, and the pod starts anew."""


class Call(ABC):
    """One request on its way through the executor."""

    __slots__ = ("deadline", "key", "left", "request", "rows", "size", "submitted")
    request: InferRequest
    rows: int
    """How many rows it has; 1 where the model's rows cannot be told apart."""
    size: int
    """Bytes of its tensors."""
    key: Key
    """What another call must have in common with it to run together with it; nothing has an empty key in common."""
    submitted: float

    def __init__(self) -> None:
        self.deadline = _NEVER
        """Seconds of `perf_counter` after which nobody waits for the answer."""
        self.left = True
        """Whether it has no place inside: not yet, or no more."""

    @abstractmethod
    def finish(self, results: Results) -> None:
        """Take the outputs that were asked for, in their order."""

    @abstractmethod
    def fail(self, error: RequestError) -> None:
        """Take the reason why there are none."""


class _Awaited(Call):
    """A call whose caller is a coroutine."""

    __slots__ = ("outcome",)

    def __init__(self, outcome: "asyncio.Future[Results]") -> None:
        super().__init__()
        self.outcome = outcome

    @override
    def finish(self, results: Results) -> None:
        if not self.outcome.done():
            self.outcome.set_result(results)

    @override
    def fail(self, error: RequestError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What the settings say about batches, queues and deadlines."""

    batch_wait: float = 0.0
    """Seconds that a batch which is not full waits for more rows."""
    timeout: float = 30.0
    """Seconds until the deadline of a request that brings none."""
    bounds: Bounds = field(default_factory=Bounds)


class Executor:
    """The one way to the model. All but the run in a thread happens in the event loop's thread."""

    def __init__(self, slot: Slot, rules: Rules, stages: Stages) -> None:
        self._slot = slot
        self._rules = rules
        self._stages = stages
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Call] = deque()
        self._rows_waiting = 0
        self._pace = Pace(inline=True, rows=1)
        self._admission: Admission | None = None
        self._next_run: asyncio.Handle | None = None
        self._waits_for_more = False
        self._running = False
        self._inline = True
        self._started = 0.0
        self._free_since = 0.0
        self._thread: ThreadPoolExecutor | None = None

    @property
    def timeout(self) -> float:
        """Seconds until the deadline of a request that brings none."""
        return self._rules.timeout

    @property
    def rows_inside(self) -> int:
        """Rows that wait or run."""
        return 0 if self._admission is None else self._admission.rows

    @property
    def limit(self) -> int:
        """Rows that may be inside now."""
        return self._rules.bounds.rows if self._admission is None else self._admission.limit

    def expect_room(self) -> None:
        """Raise OverloadedError where nothing more would get in: before a body is parsed for nothing."""
        if self._admission is not None and self._admission.full:
            raise self._admission.refusal()

    def submit(self, call: Call, request: InferRequest, size: int) -> None:
        """Let a call wait for its turn, or raise the RequestError that says why it may not. `size`: bytes that came."""
        admission = self._admission or self._open()
        call.request = request
        for tensor in request.feeds.values():
            size = max(size, tensor.nbytes)
        call.size = size
        call.rows, call.key = rows, _ = _rows(request, batchable=self._pace.rows > 1)
        admission.enter(rows, size)
        call.left = False
        call.submitted = perf_counter()
        self._queue.append(call)
        self._rows_waiting += rows
        if self._running:
            return
        if self._next_run is None or (self._waits_for_more and self._rows_waiting >= self._pace.rows):
            self._schedule()

    def abandon(self, call: Call) -> None:
        """Give a call's place back: its caller went away."""
        if not call.left:
            self._leave(call)
            # It may be running already; else nothing of it is kept.
            with contextlib.suppress(ValueError):
                self._queue.remove(call)
                self._rows_waiting -= call.rows

    def expire(self) -> None:
        """Answer what nobody waits for any more: a long run must not keep it from that."""
        now = perf_counter()
        for call in [call for call in self._queue if call.deadline <= now]:
            self._queue.remove(call)
            self._rows_waiting -= call.rows
            self._leave(call)
            _answer(call, _too_late(call, now))

    @property
    def stuck(self) -> bool:
        """Whether a run takes so long that it will not end."""
        return self._running and perf_counter() - self._started > STUCK_SECONDS

    async def infer(self, request: InferRequest, deadline: float = _NEVER, size: int = 0) -> Results:
        """The outputs that the request asks for, in its order; raises RequestError.

        `deadline`: of perf_counter. `size`: bytes as it came.
        """
        call = _Awaited(self._loop.create_future())
        call.deadline = min(deadline, perf_counter() + self._rules.timeout)
        self.submit(call, request, size)
        try:
            return await call.outcome
        except asyncio.CancelledError:
            self.abandon(call)
            raise

    def close(self) -> None:
        """End the thread, if there is one."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> Admission:
        self._slot.get()
        self._pace = self._slot.pace
        self._inline = self._pace.inline
        self._admission = Admission(self._rules.bounds, self._pace.rows)
        return self._admission

    def _schedule(self) -> None:
        """Begin the next run: in the next turn of the loop, or when the batch has waited for as long as it may."""
        if self._next_run is not None:
            self._next_run.cancel()
        self._waits_for_more = self._rules.batch_wait > 0 and self._rows_waiting < self._pace.rows
        if self._waits_for_more:
            due = self._queue[0].submitted + self._rules.batch_wait - perf_counter()
            self._next_run = self._loop.call_later(max(due, 0.0), self._run_next)
        else:
            self._next_run = self._loop.call_soon(self._run_next)

    def _run_next(self) -> None:
        self._next_run = None
        calls = self._take()
        if not calls:
            return
        model, started = self._slot.get(), perf_counter()
        self._started = started
        if self._inline and calls[0].rows <= self._pace.rows:
            outcome, ended = _run(model, calls), perf_counter()
            self._done(calls, outcome, started, ended)
            self._judge(ended - started)
        else:
            self._running = True
            self._thread = self._thread or ThreadPoolExecutor(1, "model")
            self._thread.submit(self._run_in_thread, model, calls, started)

    def _judge(self, seconds: float) -> None:
        """Leave the event loop for good when runs turn out longer than they were at the start."""
        if seconds > TOO_LONG_INLINE_SECONDS:
            self._inline = False
            log.warning("Runs the model beside the event loop from now on", extra={"run_seconds": round(seconds, 3)})

    def _take(self) -> list[Call]:
        """The calls of the next run: the oldest that is still wanted, and those that fit beside it."""
        now = perf_counter()
        taken: list[Call] = []
        others: list[Call] = []
        rows = 0
        while self._queue and rows < self._pace.rows:
            call = self._queue.popleft()
            if call.left:
                self._rows_waiting -= call.rows
            elif call.deadline <= now:
                self._rows_waiting -= call.rows
                self._leave(call)
                _answer(call, _too_late(call, now))
            elif taken and (not call.key or call.key != taken[0].key or rows + call.rows > self._pace.rows):
                others.append(call)
            else:
                taken.append(call)
                rows += call.rows
                self._rows_waiting -= call.rows
                if not call.key:
                    break
        self._queue.extendleft(reversed(others))
        return taken

    def _run_in_thread(self, model: Model, calls: list[Call], started: float) -> None:
        outcome = _run(model, calls)
        self._loop.call_soon_threadsafe(self._done, calls, outcome, started, perf_counter())

    def _done(self, calls: list[Call], outcome: "Outcome", started: float, ended: float) -> None:
        self._running = False
        self._stages.ran(calls, self._free_since, started, ended)
        self._free_since = ended
        if self._admission is not None and self._admission.adaptive is not None:
            least_wait = started - calls[-1].submitted
            self._admission.adaptive.ran(ended, least_wait, ended - started, self._admission.rows)
        if self._queue:
            self._schedule()
        for call, result in zip(calls, outcome, strict=True):
            if call.left:
                continue
            self._leave(call)
            _answer(call, result)

    def _leave(self, call: Call) -> None:
        call.left = True
        if self._admission is not None:
            self._admission.leave(call.rows, call.size)


Outcome = Sequence[Results | RequestError]


def _answer(call: Call, result: Results | RequestError) -> None:
    try:
        if isinstance(result, RequestError):
            call.fail(result)
        else:
            call.finish(result)
    except Exception:
        # Others of the same run wait for theirs.
        log.exception("An answer met a fault of ours")
        call.fail(InternalFaultError())


def _rows(request: InferRequest, *, batchable: bool) -> tuple[int, Key]:
    """How many rows a request has, and what another must be like to run with it; nothing fits an empty key."""
    if not batchable:
        return 1, ()
    feeds = request.feeds
    if len(feeds) == 1:
        for tensor in feeds.values():
            shape = tensor.shape
            return (shape[0], (request.outputs, shape[1:])) if shape[0] else (1, ())
    shapes = [feeds[name].shape for name in sorted(feeds)]
    rows = {shape[0] for shape in shapes}
    if len(rows) != 1 or 0 in rows:
        return 1, ()
    return rows.pop(), (request.outputs, *(shape[1:] for shape in shapes))


def _run(model: Model, calls: Sequence[Call]) -> Outcome:
    try:
        return _run_together(model, calls)
    except Exception:
        # Whatever it is: these callers wait for an answer, and the next batch for its turn.
        log.exception("A run of the model met a fault of ours")
        return [InternalFaultError()] * len(calls)


def _run_together(model: Model, calls: Sequence[Call]) -> Outcome:
    """Run calls together; where that fails, each by itself, so that one bad row spoils no other's answer."""
    if len(calls) == 1:
        return [_run_alone(model, calls[0])]
    requests = [call.request for call in calls]
    feeds = {name: np.concatenate([request.feeds[name] for request in requests]) for name in requests[0].feeds}
    try:
        results = model.run(requests[0].outputs, feeds)
    except InferenceFailedError:
        return [_run_alone(model, call) for call in calls]
    total = sum(call.rows for call in calls)
    if any(result.shape[:1] != (total,) for result in results):
        log.warning("The model answered %d rows together with another number of rows: they run one by one", total)
        return [_run_alone(model, call) for call in calls]
    return _split(results, calls)


def _split(results: Results, calls: Sequence[Call]) -> Outcome:
    shares, start = [], 0
    for call in calls:
        end = start + call.rows
        shares.append([result[start:end] for result in results])
        start = end
    return shares


def _run_alone(model: Model, call: Call) -> Results | RequestError:
    try:
        return model.run(call.request.outputs, call.request.feeds)
    except InferenceFailedError as error:
        return error


def _too_late(call: Call, now: float) -> DeadlineExceededError:
    return DeadlineExceededError(
        f"the request's deadline passed before the model could run; it had waited for {now - call.submitted:.3f} s"
    )
