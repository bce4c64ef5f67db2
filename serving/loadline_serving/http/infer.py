"""How does one infer request over HTTP get its answer, with nothing on the way that it does not need?

This is raw ASGI: FastAPI's routing and pydantic cost several times what a small model does.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import orjson

from loadline_serving.errors import (
    RequestError,
    TooLargeError,
    UnsupportedEncodingError,
)
from loadline_serving.execution import Executor
from loadline_serving.inference import Slot
from loadline_serving.metrics import HTTP, Recorder
from loadline_serving.protocol import openinference

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

ARM_HEADER = b"x-loadline-arm"
_JSON = (b"content-type", b"application/json")
_BYTES = (b"content-type", b"application/octet-stream")
_CLOSE = (b"connection", b"close")


class InferEndpoint:
    """Answers POST …/infer."""

    def __init__(
        self, slot: Slot, executor: Executor, recorder: Recorder, *, max_bytes: int, closing: Callable[[], bool]
    ) -> None:
        self._slot = slot
        self._executor = executor
        self._recorder = recorder
        self._max_bytes = max_bytes
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever becomes of it, and count it."""
        started = perf_counter()
        self._recorder.arrived()
        arm, status = b"", 500
        try:
            json_length: bytes | None = None
            encoding = length = b""
            for name, value in scope["headers"]:
                if name == b"inference-header-content-length":
                    json_length = value
                elif name == ARM_HEADER:
                    arm = value
                elif name == b"content-length":
                    length = value
                elif name == b"content-encoding":
                    encoding = value
            try:
                body = await self._read(receive, length, encoding)
                if body is None:
                    status = 499
                    return
                status, headers, answer = 200, *await self._answer(body, json_length)
            except RequestError as error:
                status, headers, answer = error.http_status, [_JSON], error_body(error.message)
            headers.append((b"content-length", b"%d" % len(answer)))
            if self._closing():
                headers.append(_CLOSE)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": answer})
        finally:
            self._recorder.answered(arm, status, HTTP, perf_counter() - started)

    async def _read(self, receive: Receive, length: bytes, encoding: bytes) -> bytes | None:
        """The whole body, or None if the caller went away; refused as soon as it is known to be too long."""
        if encoding not in {b"", b"identity"}:
            raise UnsupportedEncodingError("Content-Encoding is not supported; send the body uncompressed")
        if length and int(length) > self._max_bytes:
            raise TooLargeError(self._max_bytes)
        message = await receive()
        if message.get("more_body"):
            return await self._collect(message["body"], receive)
        if message["type"] != "http.request":
            return None
        body: bytes = message["body"]
        if len(body) > self._max_bytes:
            raise TooLargeError(self._max_bytes)
        return body

    async def _collect(self, first: bytes, receive: Receive) -> bytes | None:
        parts = bytearray(first)
        while len(parts) <= self._max_bytes:
            message = await receive()
            if message["type"] != "http.request":
                return None
            parts += message["body"]
            if not message.get("more_body"):
                break
        if len(parts) > self._max_bytes:
            raise TooLargeError(self._max_bytes)
        return bytes(parts)

    async def _answer(self, body: bytes, header: bytes | None) -> tuple[Headers, bytes]:
        model = self._slot.get()
        json_length = None if header is None else openinference.json_length(header, len(body))
        request = openinference.decode(body, json_length, model.signature)
        results = await self._executor.infer(request)
        answer, head = openinference.encode(request, results, model.signature, self._slot.identity)
        if head is None:
            return [_JSON], answer
        return [_BYTES, (b"inference-header-content-length", b"%d" % head)], answer


def error_body(message: str) -> bytes:
    """The one form that every error has."""
    return orjson.dumps({"error": message})
