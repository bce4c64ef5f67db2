"""What do the scaler and the guardrails read each second, at the price of a few hundred bytes?

The same counts as the metrics, without their text: a histogram is its non-empty buckets, by the number of their edge
in `loadline_contracts.metrics.SERVING_LATENCY_EDGES` (one more than there are edges: beyond the last).
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from loadline_serving.metrics import Histogram
from loadline_serving.service import Service


def snapshot(service: Service, revision: str) -> Callable[[], bytes]:
    """A function that tells the state of now as JSON."""
    identity = service.slot.identity
    head = {"model": identity.name, "version": identity.version, "revision": revision}

    def tell() -> bytes:
        recorder, stages = service.recorder, service.recorder.stages
        requests: dict[str, dict[str, int]] = {}
        for (arm, code, _), count in dict(recorder.requests).items():
            codes = requests.setdefault(arm, {})
            codes[str(code)] = codes.get(str(code), 0) + count
        return orjson.dumps(
            head
            | {
                "state": service.lifecycle.state.value,
                "in_flight": recorder.in_flight,
                "rows_inside": service.executor.rows_inside,
                "rows_limit": service.executor.limit,
                "busy_seconds": stages.busy_seconds,
                "rows": int(stages.batch_rows.total),
                "runs": sum(stages.batch_rows.counts),
                "requests": requests,
                "seconds": _seconds(dict(recorder.latencies)),
            }
        )

    return tell


def _seconds(latencies: Mapping[tuple[str, int | str], Histogram]) -> dict[str, dict[str, Any]]:
    """By arm, then by code."""
    told: dict[str, dict[str, Any]] = {}
    for (arm, code), latency in latencies.items():
        told.setdefault(arm, {})[str(code)] = _sparse(latency)
    return told


def _sparse(histogram: Histogram) -> dict[str, Any]:
    buckets = {str(edge): count for edge, count in enumerate(list(histogram.counts)) if count}
    return {"sum": histogram.total, "buckets": buckets}
