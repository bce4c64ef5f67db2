"""How is one connection read and written: infer requests answered on the spot, all others by the ASGI application?

uvicorn's protocol for HTTP/1.1 is extended. Requests of one connection are answered in their order; infer requests
that were sent without waiting for each other's answers run together.
"""

import asyncio
import urllib.parse
from collections import deque
from collections.abc import Mapping
from typing import Any

import httptools
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from loadline_serving.errors import BadRequestError, SlowRequestError
from loadline_serving.http.dialects import Dialect
from loadline_serving.http.exchange import DateHeader, Exchange, error_body
from loadline_serving.service import Service

MOST_IN_LINE = 64
"""Requests of one connection that wait for answers; no more is read from it then."""
MAX_HEAD_BYTES = 65_536
LINGER_SECONDS = 2.0
_MARKS = (b"?", b"%", b"#")
_HOP_BY_HOP = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Paths:
    """The paths that are answered on the spot, and in which protocol."""

    def __init__(self, dialects: Mapping[str, Dialect]) -> None:
        self._dialects = dialects
        self._as_written = {path.encode(): dialect for path, dialect in dialects.items()}

    def find(self, url: bytes) -> Dialect | None:
        """The protocol of a request's target, whatever its query and percent-encoding."""
        found = self._as_written.get(url)
        if found is not None or (url[:1] == b"/" and not any(mark in url for mark in _MARKS)):
            return found
        try:
            path = httptools.parse_url(url).path or b""
        except httptools.HttpParserInvalidURLError:
            return None
        return self._dialects.get(urllib.parse.unquote_to_bytes(path).decode("utf-8", "replace"))


class OpenConnections(ServerState):
    """The connections of one server."""

    connections: "set[Connection]"  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.emptied = asyncio.Event()
        """Set when the last one is gone."""


class GatheredWrites(asyncio.Transport):
    """Sends what is written in one turn of the event loop at once: head and body in one system call and one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        # Called for every request: bound once.
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(bytes(data))

    @override
    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what was written."""
        parts, self._parts = self._parts, []
        # The caller may have hung up since.
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self, *, config: uvicorn.Config, server_state: OpenConnections, paths: Paths, service: Service, date: DateHeader
    ) -> None:
        super().__init__(config, server_state, {})
        self._paths = paths
        self._service = service
        self.date = date
        self._open = server_state
        self._line: deque[Exchange | RequestResponseCycle] = deque()
        """Requests without an answer, in their order."""
        self._started = 0
        """How many of them, from the first, have begun to run."""
        self._starting = False
        self._receiving: Exchange | None = None
        self._in_head = False
        self._head_is_new = False
        self._ended_one = False
        self._head_bytes = 0
        self._begun: float | None = None
        """When the request that is being read began to come."""
        self._last_begun = self.loop.time()
        self._reads = True
        self._writes = True
        """Whether the caller reads its answers as fast as they come."""
        self._stuck_since: float | None = None
        """Since when it does not."""
        self._deaf = False
        """Whether what still comes is dropped."""
        self._lingers_since: float | None = None
        """When the last answer went out to a caller that had more to say: closing at once would take it from them."""

    # --- the transport's calls ---------------------------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._direct = transport
        self._gathered = GatheredWrites(transport, self.loop)
        super().connection_made(self._gathered)

    @override
    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        was_idle, self._head_is_new, self._ended_one = self._begun is None, False, False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(400, f"not a request in HTTP/1.1: {error}")
            return
        if self._in_head:
            # Where something else came before the head in what was read, nobody says how much of it is head.
            if not self._head_is_new or (was_idle and not self._ended_one):
                self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"the request's head is longer than {MAX_HEAD_BYTES} bytes")

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the same request as one that asks for no other protocol: a server need not change it."""
        head = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        head += [b"%b: %b" % header for header in self.headers if header[0] not in _HOP_BY_HOP]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join((*head, b"", rest)))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._receiving is not None:
            self._receiving.cut_off()
        for waiting in self._line:
            if isinstance(waiting, Exchange):
                waiting.cut_off()
            else:
                waiting.disconnected = True
                waiting.message_event.set()
        self._line.clear()
        self._started = 0
        self._receiving = None
        super().connection_lost(exc)
        if not self.connections:
            self._open.emptied.set()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._writes, self._stuck_since = False, self.loop.time()
        self._mind_reading()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._writes, self._stuck_since = True, None
        self._advance()

    # --- the parser's calls ------------------------------------------------------------------------------------

    @override
    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._receiving = None
        self._in_head = self._head_is_new = True
        self._head_bytes = 0
        self._begun = self._last_begun = self.loop.time()

    def on_chunk_header(self) -> None:
        """What follows is a chunk, or the trailers, which are as bounded as the head."""
        self._in_head = self._head_is_new = True
        self._head_bytes = 0

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.should_upgrade():
            return
        dialect = self._paths.find(self.url) if self.parser.get_method() == b"POST" else None
        if dialect is None:
            self._hand_over()
            return
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        exchange = Exchange(self._service, self, dialect, self.headers, keep_alive=keep_alive)
        self._receiving = exchange
        self._line.append(exchange)
        if exchange.refused is not None:
            # Whether the body of a caller that asked first comes nevertheless, nobody can know.
            exchange.keep_alive = exchange.keep_alive and not self.expect_100_continue
            self._start_next()
        elif self.expect_100_continue and self._line[0] is exchange:
            self._direct.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    @override
    def on_body(self, body: bytes) -> None:
        self._in_head = False
        exchange = self._receiving
        if exchange is None:
            super().on_body(body)
            return
        exchange.receive(body)
        if exchange.refused is not None and not exchange.started:
            self._start_next()

    @override
    def on_message_complete(self) -> None:
        self._in_head, self._begun, self._ended_one = False, None, True
        if self.parser.should_upgrade():
            return
        exchange, self._receiving = self._receiving, None
        if exchange is None:
            super().on_message_complete()
        else:
            exchange.complete = True
            if not exchange.started:
                self._start_next()
        self._mind_reading()

    # --- requests and answers in their order -------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Let the ASGI application answer."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        self.cycle = None  # type: ignore[assignment]  # else uvicorn would keep a line of its own
        super().on_headers_complete()

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._line.append(cycle)
        self._start_next()

    @override
    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._gathered.flush()
        self.flow.resume_reading()
        self._line.popleft()
        self._started -= 1
        self._advance()

    def answered(self, exchange: Exchange) -> None:
        """Take the answer of an exchange; it goes out when those before it have gone."""
        if self._line and self._line[0] is exchange:
            self._advance()

    def _advance(self) -> None:
        """Write the answers at the head of the line, then start those that may run."""
        line = self._line
        while line and self._writes:
            head = line[0]
            if not isinstance(head, Exchange) or head.answer is None:
                break
            line.popleft()
            self._started -= 1
            self.server_state.total_requests += 1
            self._direct.write(head.answer)
            if not head.keep_alive:
                self._end(unread=not head.complete)
                return
        self._start_next()
        self._mind_reading()

    def _start_next(self) -> None:
        """Start requests in their order: exchanges side by side, the application's at the head of the line only."""
        if self._starting:
            return
        self._starting = True
        try:
            while self._started < min(len(self._line), MOST_IN_LINE) and self._writes:
                candidate = self._line[self._started]
                if isinstance(candidate, Exchange):
                    if not candidate.complete and candidate.refused is None:
                        return
                    if self._started and not isinstance(self._line[0], Exchange):
                        return
                    self._started += 1
                    candidate.run()
                elif self._started:
                    return
                else:
                    self._started = 1
                    super()._start_asgi_task(candidate, self.app)
                    return
        finally:
            self._starting = False

    def _mind_reading(self) -> None:
        """Read no more than can be answered, and taken."""
        reads = self._writes and len(self._line) < MOST_IN_LINE
        if reads != self._reads and not self._direct.is_closing():
            self._reads = reads
            if reads:
                self._direct.resume_reading()
            else:
                self._direct.pause_reading()

    # --- bad and slow callers, and the end ---------------------------------------------------------------------

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request, and read no more. Answers under way still go out."""
        self._in_head, self._begun, self._deaf = False, None, True
        receiving, self._receiving = self._receiving, None
        if receiving is not None and not receiving.started:
            receiving.keep_alive, receiving.refused = False, BadRequestError(message)
            self._start_next()
        elif self._line and self._is_complete(self._line[-1]):
            self._line[-1].keep_alive = False
        elif self._line:
            self._direct.abort()
        elif receiving is not None or (self.cycle is not None and self.cycle.more_body):
            # What is broken is the rest of a request that has its answer.
            self._end(unread=True)
        else:
            body = error_body(message)
            head = b"%bcontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self._direct.write(STATUS_LINE[status] + head % (self.date.line, len(body)) + body)
            self._end(unread=True)

    def _is_complete(self, request: Exchange | RequestResponseCycle) -> bool:
        return request.complete if isinstance(request, Exchange) else not request.more_body

    def _end(self, *, unread: bool) -> None:
        """Close, at once or when the caller has read its answer. `unread`: it has sent, or still sends, more."""
        if unread and not self._direct.is_closing():
            self._deaf, self._lingers_since = True, self.loop.time()
            self._direct.write_eof()
        else:
            self._direct.close()

    def look(self, now: float, receive_seconds: float, idle_seconds: float) -> None:
        """Send a caller away whose request does not come to an end, or who has sent none for very long."""
        if self._lingers_since is not None:
            if now - self._lingers_since > LINGER_SECONDS:
                self._direct.abort()
        elif self._stuck_since is not None and now - self._stuck_since > receive_seconds:
            self._direct.abort()
        elif self._begun is not None and now - self._begun > receive_seconds:
            self._give_up_reading(receive_seconds)
        elif not self._line and now - self._last_begun > idle_seconds:
            self._direct.close()

    def _give_up_reading(self, seconds: float) -> None:
        message = f"the request did not come to an end within {seconds:g} s"
        exchange = self._receiving
        if exchange is not None and not exchange.started:
            self._begun = None
            exchange.refused = SlowRequestError(message)
            self._start_next()
        elif self._line:
            self._direct.abort()
        else:
            self._refuse(408, message)

    @override
    def shutdown(self) -> None:
        if self._line:
            self._line[-1].keep_alive = False
        elif self._lingers_since is not None:
            self._direct.abort()
        elif self._begun is None:
            # A request whose head is half here is read, answered, and then the connection closed.
            self._direct.close()
