"""What is counted about requests, at a cost that a small model does not feel?

Plain dictionaries and lists, written by the event loop alone and read by the scraper's thread; the families of
Prometheus are made when someone asks for them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from time import time
from typing import Protocol

from loadline_contracts import metrics as names
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

HTTP = "http"
GRPC = "grpc"
SUCCESS = frozenset({200, "OK"})
"""The codes of requests that the model answered."""

_NONE = "none"
_ARMS: Mapping[bytes, str] = {arm.encode(): arm for arm in names.SERVING_ARMS}


class Histogram:
    """Counts of observations between fixed edges."""

    __slots__ = ("_edges", "counts", "total")

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self.counts[bisect_left(self._edges, value)] += times
        self.total += value * times

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' form: how many were at most each edge."""
        edges = (*(f"{edge:g}" for edge in self._edges), "+Inf")
        return list(zip(edges, accumulate(list(self.counts)), strict=True))


class Timed(Protocol):
    """What a run's stages are told of each call."""

    @property
    def submitted(self) -> float:
        """When the call began to wait."""

    @property
    def rows(self) -> int:
        """How many rows it has."""


class Stages:
    """Where the time of requests goes between their arrival and their answer."""

    def __init__(self) -> None:
        self.queue, self.batch_wait, self.run, self.encode = (
            Histogram(names.SERVING_STAGE_EDGES) for _ in names.SERVING_STAGES
        )
        self.batch_rows = Histogram(names.SERVING_BATCH_EDGES)
        self.busy_seconds = 0.0

    def ran(self, calls: Sequence[Timed], free_since: float, started: float, ended: float) -> None:
        """Count one run: until `free_since` its calls waited for the model, from then on for each other."""
        rows = 0
        waits, queued = self.batch_wait, self.queue
        for call in calls:
            submitted = call.submitted
            rows += call.rows
            if submitted >= free_since:
                queued.counts[0] += 1
                waits.observe(started - submitted)
            else:
                queued.observe(free_since - submitted)
                waits.observe(started - free_since)
        seconds = ended - started
        self.run.observe(seconds, len(calls))
        self.batch_rows.observe(rows)
        self.busy_seconds += seconds

    def named(self) -> Mapping[str, Histogram]:
        """The stages by their names."""
        found = (self.queue, self.batch_wait, self.run, self.encode)
        return dict(zip(names.SERVING_STAGES, found, strict=True))


class Recorder:
    """Counts requests."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests: dict[tuple[str, int | str, str], int] = {}
        self.latencies: dict[tuple[str, int | str], Histogram] = {}
        """By arm and code: what is refused in microseconds must not make an arm look fast."""
        self.stages = Stages()
        self.failed_seconds = 0.0
        self.last_success = 0.0
        """In seconds since 1970; 0 where there was none yet."""

    def arrived(self) -> None:
        """A request's headers are there."""
        self.in_flight += 1

    def answered(self, arm: bytes, code: int | str, protocol: str, seconds: float) -> None:
        """Its answer is on the way."""
        self.in_flight -= 1
        label = _ARMS.get(arm, _NONE)
        key = (label, code, protocol)
        self.requests[key] = self.requests.get(key, 0) + 1
        latency = self.latencies.get((label, code))
        if latency is None:
            latency = self.latencies[label, code] = Histogram(names.SERVING_LATENCY_EDGES)
        latency.observe(seconds)
        if code in SUCCESS:
            self.last_success = time()
        else:
            self.failed_seconds += seconds


class Load(Protocol):
    """What the executor tells about itself."""

    @property
    def rows_inside(self) -> int:
        """Rows that wait or run."""

    @property
    def limit(self) -> int:
        """Rows that may be inside now."""


class ServingCollector(Collector):
    """Turns the counts into Prometheus families."""

    def __init__(
        self,
        recorder: Recorder,
        load: Load,
        labels: Mapping[str, str],
        info: Mapping[str, str],
        *,
        ready: Callable[[], bool],
        dropped: Callable[[], int],
    ) -> None:
        self._recorder = recorder
        self._load = load
        self._labels = tuple(labels[name] for name in names.SERVING_LABELS)
        self._info = dict(info)
        self._ready = ready
        self._dropped = dropped

    @override
    def collect(self) -> Iterable[Metric]:
        """All families."""
        recorder = self._recorder
        yield self._requests()
        yield self._histogram(
            names.SERVING_REQUEST_SECONDS,
            "Time from headers to answer",
            ("arm", "code"),
            {(arm, str(code)): latency for (arm, code), latency in dict(recorder.latencies).items()},
        )
        yield self._histogram(
            names.SERVING_STAGE_SECONDS,
            "Where a request's time went",
            ("stage",),
            {(stage,): seconds for stage, seconds in recorder.stages.named().items()},
        )
        yield self._batch_rows()
        yield self._gauge(names.SERVING_IN_FLIGHT, "Requests not yet answered", recorder.in_flight)
        yield self._gauge(names.SERVING_ROWS_INSIDE, "Rows that wait or run", self._load.rows_inside)
        yield self._gauge(names.SERVING_ROWS_LIMIT, "Rows that may be inside", self._load.limit)
        yield self._gauge(names.SERVING_READY, "1 while the pod wants requests", int(self._ready()))
        dropped = CounterMetricFamily(
            names.SERVING_ACCESS_LOG_DROPPED, "Access log events dropped", labels=names.SERVING_LABELS
        )
        dropped.add_metric(self._labels, self._dropped())
        yield dropped
        info = GaugeMetricFamily(
            names.SERVING_MODEL_INFO, "The model served", labels=(*names.SERVING_LABELS, *self._info)
        )
        info.add_metric((*self._labels, *self._info.values()), 1)
        yield info

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            names.SERVING_REQUESTS, "Answered requests", labels=(*names.SERVING_LABELS, "arm", "code", "protocol")
        )
        for (arm, code, protocol), count in dict(self._recorder.requests).items():
            family.add_metric((*self._labels, arm, str(code), protocol), count)
        return family

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], parts: Mapping[tuple[str, ...], Histogram]
    ) -> Metric:
        family = HistogramMetricFamily(name, text, labels=(*names.SERVING_LABELS, *labels))
        for values, histogram in parts.items():
            family.add_metric((*self._labels, *values), histogram.cumulative(), histogram.total)
        return family

    def _batch_rows(self) -> Metric:
        family = HistogramMetricFamily(names.SERVING_BATCH_ROWS, "Rows that ran together", labels=names.SERVING_LABELS)
        rows = self._recorder.stages.batch_rows
        family.add_metric(self._labels, rows.cumulative(), rows.total)
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=names.SERVING_LABELS)
        family.add_metric(self._labels, value)
        return family


def exposition(collector: Collector) -> Callable[[], bytes]:
    """A function that writes everything in Prometheus' text form: ours and the process's own."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return lambda: generate_latest(registry)
