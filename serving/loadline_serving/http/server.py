"""How are connections accepted, and closed without cutting an answer off?

uvicorn's HTTP protocol is used without its `Server`, whose signal handling would end the process at once.
"""

import asyncio
import functools
from email.utils import formatdate

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from loadline_serving.http.infer import AsgiApp

# Envoy keeps idle connections for an hour. Whoever closes first must not be us: a POST already on its way on that
# connection would be lost, and must not be sent again by itself.
KEEP_ALIVE_SECONDS = 3900


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
        http=HttpToolsProtocol,
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
    protocol = functools.partial(HttpToolsProtocol, config=config, server_state=state, app_state={})
    return HttpServer(await loop.create_server(protocol, host, port, backlog=2048), state)
