"""Which metrics do Loadline's programs expose, under which names and labels?"""

from collections.abc import Sequence

# --- SERVING: exposed by every serving pod on its metrics port -------------------------------------------------

SERVING_LABELS = ("model", "version", "revision")
"""On every serving metric: the ModelDeployment's name, the registry's version, the revision."""
SERVING_REQUESTS = "loadline_requests_total"
"""Counter of answered requests, by SERVING_LABELS, arm, code (HTTP status or gRPC status name) and protocol."""
SERVING_REQUEST_SECONDS = "loadline_request_seconds"
"""Histogram of the time from a request's headers to its answer, by SERVING_LABELS, arm and code."""
SERVING_IN_FLIGHT = "loadline_in_flight"
"""Gauge of requests that have come and are not answered."""
SERVING_STAGE_SECONDS = "loadline_stage_seconds"
"""Histogram of where a request's time went, by SERVING_LABELS and stage (one of SERVING_STAGES)."""
SERVING_STAGES = ("queue", "batch_wait", "run", "encode")
"""Waiting for the model to be free; waiting for more rows although it was; in the model; writing the answer."""
SERVING_BATCH_ROWS = "loadline_batch_rows"
"""Histogram of the rows that ran together, by SERVING_LABELS: its count is that of runs, its sum that of rows."""
SERVING_ROWS_INSIDE = "loadline_rows_inside"
"""Gauge of the rows that wait or run."""
SERVING_ROWS_LIMIT = "loadline_rows_limit"
"""Gauge of the rows that may be inside now; what would be more is answered with 429 or RESOURCE_EXHAUSTED."""
SERVING_ACCESS_LOG_DROPPED = "loadline_access_log_dropped_total"
"""Counter of events of the access log that were dropped, since they came faster than they could be written."""
SERVING_MODEL_INFO = "loadline_model_info"
"""Gauge that is 1, by SERVING_LABELS, namespace, digest and pod."""
SERVING_READY = "loadline_ready"
"""Gauge: 1 while the pod wants requests."""

SERVING_ARM_HEADER = "x-loadline-arm"
"""The request header (gRPC: metadata key) in which the gateway says which arm it chose."""
SERVING_ARMS = ("stable", "canary", "shadow", "none")
"""Every value of the label `arm`; what came by no arm is `none`."""


SERVING_STATS_PATH = "/stats"
"""The path on the metrics port where the same counts stand as compact JSON, for readers that come each second."""


def _edges(first: float, last: float, ratio: float) -> Sequence[float]:
    edges = [first]
    while edges[-1] < last:
        edges.append(float(f"{edges[-1] * ratio:.4g}"))
    return tuple(edges)


SERVING_LATENCY_EDGES = _edges(50e-6, 60.0, 1.1)
"""Upper edges of the latency histogram in seconds, 10 % apart: fine enough to judge a model of 1 ms."""
SERVING_STAGE_EDGES = _edges(1e-6, 60.0, 1.1)
"""Upper edges of the stages' histograms in seconds: a small model's stages are microseconds."""
SERVING_BATCH_EDGES = tuple(2**power for power in range(13))
"""Upper edges of the histogram of rows that ran together."""

# --- OPERATOR: exposed by every replica of the operator on its metrics port ------------------------------------

OPERATOR_API_REQUESTS = "loadline_operator_api_requests_total"
"""Counter of requests to the API server, by verb, resource and code (HTTP status)."""
OPERATOR_APPLIES_SKIPPED = "loadline_operator_applies_skipped_total"
"""Counter of children that were as wanted already, so that nothing was sent, by kind."""
OPERATOR_RECONCILES = "loadline_operator_reconciles_total"
"""Counter of looks at an object, by kind and result."""
OPERATOR_RECONCILE_SECONDS = "loadline_operator_reconcile_seconds"
"""Histogram of the time of one look at an object, from observing to the last write, by kind."""
OPERATOR_QUEUE_DEPTH = "loadline_operator_queue_depth"
"""Gauge of objects that wait for a look, those that wait for a set time left out."""
OPERATOR_QUEUE_SECONDS = "loadline_operator_queue_seconds"
"""Histogram of the time from when a look at an object was due to when it began."""
OPERATOR_QUEUE_RETRIES = "loadline_operator_queue_retries_total"
"""Counter of looks that failed and are tried again after a while."""
OPERATOR_WATCH_LAST_EVENT = "loadline_operator_watch_last_event_timestamp_seconds"
"""Gauge of the moment when something of a kind was last seen to change, by kind."""
OPERATOR_CACHE_REPAIRS = "loadline_operator_cache_repairs_total"
"""Counter of objects whose change a list showed and no watch, by kind."""
OPERATOR_OBJECTS = "loadline_operator_objects"
"""Gauge of objects that the operator keeps in memory, by kind."""
OPERATOR_LEADER = "loadline_operator_leader"
"""Gauge: 1 in the replica that may write."""
OPERATOR_LEASE_TRANSITIONS = "loadline_operator_lease_transitions_total"
"""Counter of how often this replica became the leader."""
OPERATOR_ENVOY_READS = "loadline_operator_envoy_reads_total"
"""Counter of reads of an Envoy's configuration, by result."""
OPERATOR_ENVOY_READ_SECONDS = "loadline_operator_envoy_read_seconds"
"""Histogram of the time to read all Envoys once."""
OPERATOR_LOOP_LAG = "loadline_operator_event_loop_lag_seconds"
"""Gauge of how late the event loop last ran a task that was due."""

OPERATOR_SECONDS_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper edges of the operator's histograms in seconds."""
