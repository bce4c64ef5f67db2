"""Which headers mean something to us, over HTTP and as gRPC's metadata alike?"""

from loadline_contracts.metrics import SERVING_ARM_HEADER

from loadline_serving.errors import BadRequestError

ARM = SERVING_ARM_HEADER
TIMEOUT = "x-envoy-expected-rq-timeout-ms"
"""Milliseconds that the gateway waits for the answer."""
TRACE = "traceparent"
_MOST_DIGITS = 12


def seconds_of(milliseconds: str | bytes) -> float:
    """The seconds that TIMEOUT says; raises BadRequestError."""
    if not milliseconds.isdigit() or len(milliseconds) > _MOST_DIGITS or not milliseconds.isascii():
        raise BadRequestError(f"{TIMEOUT} is not a number of milliseconds")
    return int(milliseconds) / 1000
