"""How are connections accepted, and closed without cutting an answer off?

uvicorn's HTTP protocol is used without its `Server`, whose signal handling would end the process at once.
"""

import asyncio
import functools
import logging
import resource
from email.utils import formatdate

import uvicorn

from loadline_serving.http.asgi import AsgiApp
from loadline_serving.http.connection import Connection, OpenConnections, Paths
from loadline_serving.http.exchange import DateHeader
from loadline_serving.service import Service

# Envoy keeps idle connections for an hour. Whoever closes first must not be us: a POST already on its way on that
# connection would be lost, and must not be sent again by itself.
KEEP_ALIVE_SECONDS = 3900
_BACKLOG = 2048


class HttpServer:
    """One listening socket and its connections."""

    def __init__(self, server: asyncio.Server, state: OpenConnections, service: Service, date: DateHeader) -> None:
        self._server = server
        self._state = state
        self._service = service
        self._date = date
        self._clock = asyncio.create_task(self._keep_time())

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._state.connections)

    async def close(self) -> None:
        """Accept nothing more, close what is idle, and wait for the answers under way."""
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        while self._state.connections:
            self._state.emptied.clear()
            await self._state.emptied.wait()
        self._clock.cancel()

    async def _keep_time(self) -> None:
        """Once a second: the date of answers, deadlines, callers that are too slow, and the sign of life."""
        loop = asyncio.get_running_loop()
        while True:
            self._service.executor.expire()
            if not self._service.executor.stuck:
                self._service.lifecycle.beat()
            date = formatdate(usegmt=True).encode()
            self._state.default_headers[:] = [(b"date", date)]
            self._date.line = b"date: %b\r\n" % date
            now = loop.time()
            for connection in list(self._state.connections):
                connection.look(now, self._service.receive_seconds, KEEP_ALIVE_SECONDS)
            await asyncio.sleep(1)


async def listen(app: AsgiApp, service: Service, paths: Paths, *, host: str, port: int) -> HttpServer:
    """Serve over HTTP/1.1: the paths on the spot, all else by the ASGI app."""
    _allow_many_connections()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it would warn of every malformed request
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
    state, date = OpenConnections(), DateHeader()
    protocol = functools.partial(Connection, config=config, server_state=state, paths=paths, service=service, date=date)
    server = await asyncio.get_running_loop().create_server(protocol, host, port, backlog=_BACKLOG)
    return HttpServer(server, state, service, date)


def _allow_many_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
