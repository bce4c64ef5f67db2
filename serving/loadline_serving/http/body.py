"""How is a request's body read, and no more of it than the limit allows?"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from loadline_serving.errors import TooLargeError, UnsupportedEncodingError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def read_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive, max_bytes: int) -> bytes | None:
    """The whole body, or None if the caller went away; refused as soon as it is known to be too long."""
    for name, value in headers:
        if name == b"content-encoding" and value != b"identity":
            raise UnsupportedEncodingError("Content-Encoding is not supported; send the body uncompressed")
        if name == b"content-length" and int(value) > max_bytes:
            raise TooLargeError(max_bytes)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise TooLargeError(max_bytes)
        more = message.get("more_body", False)
    return bytes(body)
