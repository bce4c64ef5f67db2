"""What does the operator count, and how does it log?"""

import logging
import sys
from typing import Final

import structlog
from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

API_REQUESTS: Final = Counter(
    "loadline_operator_api_requests_total",
    "Requests to the API server, by verb, resource and status code.",
    ("verb", "resource", "code"),
)
APPLIES_SKIPPED: Final = Counter(
    "loadline_operator_applies_skipped_total",
    "Children that were as wanted already, so that nothing was sent.",
    ("kind",),
)
RECONCILES: Final = Counter(
    "loadline_operator_reconciles_total",
    "Looks at an object, by what came of them.",
    ("kind", "result"),
)
RECONCILE_SECONDS: Final = Histogram(
    "loadline_operator_reconcile_seconds",
    "Time of one look at an object, from observing to the last write.",
    ("kind",),
    buckets=_SECONDS,
)
QUEUE_DEPTH: Final = Gauge(
    "loadline_operator_queue_depth", "Objects that wait for a look, those that wait for a set time left out."
)
QUEUE_SECONDS: Final = Histogram(
    "loadline_operator_queue_seconds",
    "Time from when a look at an object was due to when it began.",
    buckets=_SECONDS,
)
QUEUE_RETRIES: Final = Counter(
    "loadline_operator_queue_retries_total", "Looks that failed and are tried again after a while."
)
WATCH_LAST_EVENT: Final = Gauge(
    "loadline_operator_watch_last_event_timestamp_seconds",
    "When something of a kind was last seen to change.",
    ("kind",),
)
CACHE_REPAIRS: Final = Counter(
    "loadline_operator_cache_repairs_total", "Objects whose change a list showed and no watch.", ("kind",)
)
OBJECTS: Final = Gauge("loadline_operator_objects", "Objects that the operator keeps in memory, by kind.", ("kind",))
LEADER: Final = Gauge("loadline_operator_leader", "1 in the replica that may write.")
LEASE_TRANSITIONS: Final = Counter(
    "loadline_operator_lease_transitions_total", "How often this replica became the leader."
)
ENVOY_READS: Final = Counter(
    "loadline_operator_envoy_reads_total", "Reads of an Envoy's configuration, by result.", ("result",)
)
ENVOY_READ_SECONDS: Final = Histogram(
    "loadline_operator_envoy_read_seconds", "Time to read all Envoys once.", buckets=_SECONDS
)
LOOP_LAG: Final = Gauge(
    "loadline_operator_event_loop_lag_seconds", "How late the event loop last ran a task that was due."
)


def configure_logging(level: str) -> None:
    """Write every log line, kopf's too, as one JSON object on standard output."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "urllib3", "asyncio", "aiohttp.access", "kopf.objects"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
