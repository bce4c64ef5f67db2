"""What can go wrong, and who can do something about it?

A `RequestError` is an answer to one caller; a `StartupFault` ends the process and is told to the operator.
"""

from typing import ClassVar

from loadline_contracts.conditions import Reason


class StartupFault(Exception):  # noqa: N818 - "fault" is the word of the operator's conditions
    """A definite fault: trying again with the same files and settings ends the same way.

    Its reason becomes that of the object's condition.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RequestError(Exception):
    """One request that gets an error: an HTTP status, the gRPC status of the same meaning, a sentence."""

    http_status: ClassVar[int]
    grpc_status: ClassVar[str]
    MOST_LETTERS: ClassVar[int] = 1000
    """What a message holds of what the caller sent has no bound; headers, in which gRPC sends it, have."""

    def __init__(self, message: str) -> None:
        told = message if len(message) <= self.MOST_LETTERS else f"{message[: self.MOST_LETTERS]}…"
        super().__init__(told)
        self.message = told


class BadRequestError(RequestError):
    """The caller's message is not what the model takes."""

    http_status = 400
    grpc_status = "INVALID_ARGUMENT"


class ModelNotFoundError(RequestError):
    """The caller names a model or version that this process does not serve."""

    http_status = 404
    grpc_status = "NOT_FOUND"


class SlowRequestError(RequestError):
    """The caller takes too long to send its request."""

    http_status = 408
    grpc_status = "DEADLINE_EXCEEDED"


class TooLargeError(RequestError):
    """The body is over the limit."""

    http_status = 413
    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request is larger than {limit} bytes, the limit of this server")


class UnsupportedEncodingError(RequestError):
    """The body is compressed."""

    http_status = 415
    grpc_status = "UNIMPLEMENTED"


class OverloadedError(RequestError):
    """More is asked than can be answered in time: we shed load."""

    http_status = 429
    grpc_status = "RESOURCE_EXHAUSTED"
    RETRY_SECONDS: ClassVar[int] = 1
    """After how long it is worth trying again (Retry-After): queues here are shorter than that."""


class InferenceFailedError(RequestError):
    """The model raised an error."""

    http_status = 500
    grpc_status = "INTERNAL"


class InternalFaultError(RequestError):
    """A fault of this program; its log has the trace."""

    http_status = 500
    grpc_status = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("a fault of the server; its log says which")


class UnsupportedOutputError(RequestError):
    """The model returns something that the protocol has no form for."""

    http_status = 501
    grpc_status = "UNIMPLEMENTED"


class NotReadyError(RequestError):
    """The model is still loading."""

    http_status = 503
    grpc_status = "UNAVAILABLE"


class DeadlineExceededError(RequestError):
    """The request's deadline passed before the model ran."""

    http_status = 504
    grpc_status = "DEADLINE_EXCEEDED"
