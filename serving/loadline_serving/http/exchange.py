"""How does one infer request over HTTP get its answer, with nothing on the way that it does not need?

An exchange is answered inside the connection's protocol: no scope, no task, no ASGI messages. They cost more than a
small model does (decision 8).
"""

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Protocol

import orjson
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from loadline_serving.errors import (
    BadRequestError,
    InternalFaultError,
    OverloadedError,
    RequestError,
    SlowRequestError,
    TooLargeError,
    UnsupportedEncodingError,
)
from loadline_serving.execution import Call, Results
from loadline_serving.headers import ARM, TIMEOUT, TRACE, seconds_of
from loadline_serving.http.dialects import Dialect
from loadline_serving.metrics import HTTP
from loadline_serving.service import Service

log = logging.getLogger(__name__)

Headers = Sequence[tuple[bytes, bytes]]

ARM_HEADER, TIMEOUT_HEADER, TRACE_HEADER = (name.encode() for name in (ARM, TIMEOUT, TRACE))
_LENGTH_HEADER = b"inference-header-content-length"
_JSON = b"content-type: application/json\r\n"
_BYTES = b"content-type: application/octet-stream\r\n" + _LENGTH_HEADER + b": %d\r\n"
_GONE = 499


class DateHeader:
    """The header that says when an answer was given; the server makes it anew each second."""

    __slots__ = ("line",)

    def __init__(self) -> None:
        self.line = b""


class Writer(Protocol):
    """What an exchange answers through: its connection."""

    @property
    def date(self) -> DateHeader:
        """The header that says when an answer was given."""

    def answered(self, exchange: "Exchange") -> None:
        """Take the answer of an exchange; it goes out when those before it have gone."""


class Exchange(Call):
    """One infer request and its answer."""

    __slots__ = (
        "_arm",
        "_arrived",
        "_dialect",
        "_encode",
        "_held",
        "_length_header",
        "_parts",
        "_received",
        "_service",
        "_trace",
        "_writer",
        "answer",
        "complete",
        "keep_alive",
        "refused",
        "started",
    )

    def __init__(self, service: Service, writer: Writer, dialect: Dialect, sent: Headers, *, keep_alive: bool) -> None:
        """Begin with the request's headers. `keep_alive`: whether the caller wants the connection to stay open."""
        super().__init__()
        self._service = service
        self._writer = writer
        self._dialect = dialect
        self._arrived = perf_counter()
        self._parts: list[bytes] = []
        self._received = self._held = 0
        self._arm = b""
        self._trace: bytes | None = None
        self._length_header: bytes | None = None
        self.keep_alive = keep_alive
        self.answer: bytes | None = None
        """The whole answer, once it is known."""
        self.complete = False
        """Whether the whole request has come."""
        self.started = False
        """Whether its turn has come."""
        self.refused: RequestError | None = None
        """Why the request gets no answer from the model, where the headers or the length of the body say so."""
        service.lifecycle.touch()
        service.recorder.arrived()
        self.deadline = self._arrived + service.executor.timeout
        try:
            service.executor.expect_room()
            for name, value in sent:
                self._read_header(name, value)
        except RequestError as error:
            self._refuse(error)

    def _read_header(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            if int(value) > self._service.max_bytes:
                raise TooLargeError(self._service.max_bytes)
        elif name == ARM_HEADER:
            self._arm = value
        elif name == _LENGTH_HEADER:
            self._length_header = value
        elif name == TIMEOUT_HEADER:
            self.deadline = min(self.deadline, self._arrived + seconds_of(value))
        elif name == TRACE_HEADER:
            self._trace = value
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedEncodingError("Content-Encoding is not supported; send the body uncompressed")

    def _refuse(self, error: RequestError) -> None:
        self.refused = error
        self._let_go()

    def _let_go(self) -> list[bytes]:
        """The parts of the body, which count no more as arriving."""
        parts, self._parts = self._parts, []
        self._service.arriving.give_back(self._held)
        self._held = 0
        return parts

    def receive(self, part: bytes) -> None:
        """Take a part of the body. What is too long is refused, and the rest of it dropped."""
        if self.refused is not None:
            return
        self._received += len(part)
        try:
            if self._received > self._service.max_bytes:
                raise TooLargeError(self._service.max_bytes)
            self._service.arriving.take(len(part))
        except RequestError as error:
            self._refuse(error)
        else:
            self._held += len(part)
            self._parts.append(part)

    def run(self) -> None:
        """The request is complete, and its turn has come."""
        service = self._service
        self.started = True
        if self.refused is not None:
            self.fail(self.refused)
            return
        parts = self._let_go()
        try:
            service.executor.expect_room()
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            request, self._encode = self._dialect.read(body, self._length_header)
            if request.timeout is not None:
                self.deadline = min(self.deadline, self._arrived + request.timeout)
            service.executor.submit(self, request, len(body))
        except RequestError as error:
            self.fail(error)
        except RecursionError:
            self.fail(BadRequestError("the request is nested too deeply"))
        except Exception:
            log.exception("A request met a fault of ours")
            self.fail(InternalFaultError())

    @override
    def finish(self, results: Results) -> None:
        """Write the answer."""
        begun = perf_counter()
        service = self._service
        try:
            body, head = self._encode(self.request, results)
        except RequestError as error:
            self.fail(error)
            return
        self._send(200, _JSON if head is None else _BYTES % head, body)
        ended = perf_counter()
        service.recorder.stages.encode.observe(ended - begun)
        self._count(200, ended)

    @override
    def fail(self, error: RequestError) -> None:
        """Write an error in the one form that all have."""
        headers = _JSON
        if isinstance(error, OverloadedError):
            headers += b"retry-after: %d\r\n" % error.RETRY_SECONDS
        if isinstance(error, SlowRequestError):
            self.keep_alive = False
        self._send(error.http_status, headers, error_body(error.message))
        self._count(error.http_status, perf_counter())

    def cut_off(self) -> None:
        """The caller went away: nobody waits for the answer."""
        if self.answer is None:
            self._let_go()
            self._service.executor.abandon(self)
            self.answer = b""
            self._count(_GONE, perf_counter())

    def _send(self, status: int, headers: bytes, body: bytes) -> None:
        if self._trace is not None:
            headers += b"traceparent: %s\r\n" % self._trace
        if self._service.lifecycle.draining():
            self.keep_alive = False
        if not self.keep_alive:
            headers += b"connection: close\r\n"
        self.answer = b"%b%b%bcontent-length: %d\r\n\r\n%b" % (
            STATUS_LINE[status],
            self._writer.date.line,
            headers,
            len(body),
            body,
        )
        self._writer.answered(self)

    def _count(self, status: int, now: float) -> None:
        service = self._service
        seconds = now - self._arrived
        service.recorder.answered(self._arm, status, HTTP, seconds)
        if service.access_log.wants(failed=status >= 500):
            service.access_log.tell(
                protocol=HTTP,
                status=status,
                seconds=round(seconds, 6),
                arm=self._arm.decode("latin-1"),
                bytes=self._received,
                trace=None if self._trace is None else self._trace.decode("latin-1"),
            )


def error_body(message: str) -> bytes:
    """The one form that every error has."""
    return orjson.dumps({"error": message})
