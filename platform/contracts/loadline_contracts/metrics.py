"""Which metrics do Loadline's programs expose, under which names and labels?"""

from collections.abc import Sequence

# --- SERVING: exposed by every serving pod on its metrics port -------------------------------------------------

SERVING_LABELS = ("model", "version", "revision")
"""On every serving metric: the ModelDeployment's name, the registry's version, the revision."""
SERVING_REQUESTS = "loadline_requests_total"
"""Counter of answered requests, by SERVING_LABELS, arm, code (HTTP status or gRPC status name) and protocol."""
SERVING_REQUEST_SECONDS = "loadline_request_seconds"
"""Histogram of the time from a request's headers to its answer, by SERVING_LABELS and arm."""
SERVING_IN_FLIGHT = "loadline_in_flight"
"""Gauge of requests that have come and are not answered."""
SERVING_MODEL_INFO = "loadline_model_info"
"""Gauge that is 1, by SERVING_LABELS, namespace, digest and pod."""
SERVING_READY = "loadline_ready"
"""Gauge: 1 while the pod wants requests."""

SERVING_ARM_HEADER = "x-loadline-arm"
"""The request header (gRPC: metadata key) in which the gateway says which arm it chose."""
SERVING_ARMS = ("stable", "canary", "shadow", "none")
"""Every value of the label `arm`; what came by no arm is `none`."""


def _edges(first: float, last: float, ratio: float) -> Sequence[float]:
    edges = [first]
    while edges[-1] < last:
        edges.append(float(f"{edges[-1] * ratio:.4g}"))
    return tuple(edges)


SERVING_LATENCY_EDGES = _edges(50e-6, 60.0, 1.1)
"""Upper edges of the latency histogram in seconds, 10 % apart: fine enough to judge a model of 1 ms."""
