"""A way to a server that a test can shut: what a network or a dead server looks like from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

BROKEN = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 12\r\nconnection: close\r\n\r\nout of order"


class Gate:
    """Passes bytes between its own port and a server's, while it is open."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0
        self.broken = False
        """Answer every request with HTTP 500 instead."""

    @property
    def url(self) -> str:
        """The address that stays when the gate is shut."""
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def shut(self) -> None:
        """Refuse new connections and cut those that there are."""
        if self._server is None:
            return
        self._server.close()
        for writer in tuple(self._writers):
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections)
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        try:
            if self.broken:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(BROKEN)
                await writer.drain()
            else:
                await self._connect(reader, writer)
        finally:
            writer.close()
            self._writers.discard(writer)
            self._connections.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(server_writer)
        try:
            await asyncio.gather(_pass(reader, server_writer), _pass(server_reader, writer))
        finally:
            server_writer.close()
            self._writers.discard(server_writer)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


@asynccontextmanager
async def gate_to(port: int) -> AsyncIterator[Gate]:
    """An open gate to a port of this machine."""
    gate = Gate(port)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.shut()
