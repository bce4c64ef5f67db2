"""What is counted about requests, at a cost that a small model does not feel?

Plain dictionaries and lists, written by the event loop alone and read by the scraper's thread; the families of
Prometheus are made when someone asks for them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from time import time

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
_EDGES = names.SERVING_LATENCY_EDGES
_EDGE_NAMES = tuple(f"{edge:g}" for edge in _EDGES)


class _Latency:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_EDGES) + 1)
        self.total = 0.0


class Recorder:
    """Counts requests."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests: dict[tuple[str, int | str, str], int] = {}
        self.latencies: dict[str, _Latency] = {}
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
        latency = self.latencies.get(label)
        if latency is None:
            latency = self.latencies[label] = _Latency()
        latency.counts[bisect_left(_EDGES, seconds)] += 1
        latency.total += seconds
        if code in SUCCESS:
            self.last_success = time()
        else:
            self.failed_seconds += seconds


class ServingCollector(Collector):
    """Turns the counts into Prometheus families."""

    def __init__(
        self, recorder: Recorder, labels: Mapping[str, str], info: Mapping[str, str], ready: Callable[[], bool]
    ) -> None:
        self._recorder = recorder
        self._labels = tuple(labels[name] for name in names.SERVING_LABELS)
        self._info = dict(info)
        self._ready = ready

    @override
    def collect(self) -> Iterable[Metric]:
        """All families."""
        yield self._requests()
        yield self._seconds()
        yield self._gauge(names.SERVING_IN_FLIGHT, "Requests not yet answered", self._recorder.in_flight)
        yield self._gauge(names.SERVING_READY, "1 while the pod wants requests", int(self._ready()))
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

    def _seconds(self) -> Metric:
        family = HistogramMetricFamily(
            names.SERVING_REQUEST_SECONDS, "Time from headers to answer", labels=(*names.SERVING_LABELS, "arm")
        )
        for arm, latency in dict(self._recorder.latencies).items():
            cumulative = zip((*_EDGE_NAMES, "+Inf"), accumulate(list(latency.counts)), strict=True)
            family.add_metric((*self._labels, arm), list(cumulative), latency.total)
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
