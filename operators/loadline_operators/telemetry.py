"""What does the operator count, and how does it log?"""

import logging
import sys
from typing import Final

import structlog
from loadline_contracts import metrics as names
from prometheus_client import Counter, Gauge, Histogram

API_REQUESTS: Final = Counter(
    names.OPERATOR_API_REQUESTS,
    "Requests to the API server, by verb, resource and status code.",
    ("verb", "resource", "code"),
)
APPLIES_SKIPPED: Final = Counter(
    names.OPERATOR_APPLIES_SKIPPED,
    "Children that were as wanted already, so that nothing was sent.",
    ("kind",),
)
RECONCILES: Final = Counter(
    names.OPERATOR_RECONCILES,
    "Looks at an object, by what came of them.",
    ("kind", "result"),
)
RECONCILE_SECONDS: Final = Histogram(
    names.OPERATOR_RECONCILE_SECONDS,
    "Time of one look at an object, from observing to the last write.",
    ("kind",),
    buckets=names.OPERATOR_SECONDS_EDGES,
)
QUEUE_DEPTH: Final = Gauge(
    names.OPERATOR_QUEUE_DEPTH, "Objects that wait for a look, those that wait for a set time left out."
)
QUEUE_SECONDS: Final = Histogram(
    names.OPERATOR_QUEUE_SECONDS,
    "Time from when a look at an object was due to when it began.",
    buckets=names.OPERATOR_SECONDS_EDGES,
)
QUEUE_RETRIES: Final = Counter(names.OPERATOR_QUEUE_RETRIES, "Looks that failed and are tried again after a while.")
WATCH_LAST_EVENT: Final = Gauge(
    names.OPERATOR_WATCH_LAST_EVENT,
    "When something of a kind was last seen to change.",
    ("kind",),
)
CACHE_REPAIRS: Final = Counter(
    names.OPERATOR_CACHE_REPAIRS, "Objects whose change a list showed and no watch.", ("kind",)
)
OBJECTS: Final = Gauge(names.OPERATOR_OBJECTS, "Objects that the operator keeps in memory, by kind.", ("kind",))
LEADER: Final = Gauge(names.OPERATOR_LEADER, "1 in the replica that may write.")
LEASE_TRANSITIONS: Final = Counter(names.OPERATOR_LEASE_TRANSITIONS, "How often this replica became the leader.")
ENVOY_READS: Final = Counter(names.OPERATOR_ENVOY_READS, "Reads of an Envoy's configuration, by result.", ("result",))
ENVOY_READ_SECONDS: Final = Histogram(
    names.OPERATOR_ENVOY_READ_SECONDS, "Time to read all Envoys once.", buckets=names.OPERATOR_SECONDS_EDGES
)
LOOP_LAG: Final = Gauge(names.OPERATOR_LOOP_LAG, "How late the event loop last ran a task that was due.")


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
