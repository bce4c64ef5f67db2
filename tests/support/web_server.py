"""A small web server of a test's own: answers by path, each after the other, and notes what was asked."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from typing_extensions import override


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class WebServer:
    """Where it is, and who came."""

    url: str
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)


@contextmanager
def web_server(replies: Mapping[str, Sequence[Reply]], *, certificate: Path | None = None) -> Iterator[WebServer]:
    """Serve these; the last answer of a path is given for ever. With a certificate for localhost over TLS."""
    left = {path: list(sequence) for path, sequence in replies.items()}
    handler = type("Handler", (_Handler,), {"left": left, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    place = f"{'https://localhost' if certificate else 'http://127.0.0.1'}:{server.server_address[1]}"
    try:
        yield WebServer(url=place, asked=handler.asked)  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    left: dict[str, list[Reply]]
    asked: list[tuple[str, Mapping[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        replies = self.left.get(self.path, [Reply(status=404)])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | dict(reply.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Tests have their own output."""
