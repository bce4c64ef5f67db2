"""How are connections accepted, and closed without cutting an answer off?

uvicorn's HTTP protocol is used without its `Server`, whose signal handling would end the process at once.
"""

import asyncio
import functools
from email.utils import formatdate

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from loadline_serving.http.infer import AsgiApp

# Envoy keeps idle connections for an hour. Whoever closes first must not be us: a POST already on its way on that
# connection would be lost, and must not be sent again by itself.
KEEP_ALIVE_SECONDS = 3900


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
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))

    @override
    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        # The caller may have hung up since.
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, writing through GatheredWrites."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheredWrites(transport, self.loop))


class HttpServer:
    """One listening socket and its connections."""

    def __init__(self, server: asyncio.Server, state: ServerState) -> None:
        self._server = server
        self._state = state
        self._clock = asyncio.create_task(self._tell_time())

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Accept nothing more, close what is idle, and wait for the answers under way."""
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        while self._state.tasks:
            await asyncio.wait(list(self._state.tasks))
        self._clock.cancel()

    async def _tell_time(self) -> None:
        while True:
            self._state.default_headers[:] = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1)


async def listen(app: AsgiApp, host: str, port: int) -> HttpServer:
    """Serve an ASGI app over HTTP/1.1."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    protocol = functools.partial(Connection, config=config, server_state=state, app_state={})
    return HttpServer(await loop.create_server(protocol, host, port, backlog=2048), state)
