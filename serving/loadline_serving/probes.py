"""Is the process alive, started, ready, and what has it counted?

Asked on a port of its own, answered by threads of their own: a long inference holds up the event loop, never a
probe.
"""

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from loadline_contracts.metrics import SERVING_STATS_PATH
from prometheus_client import CONTENT_TYPE_LATEST
from typing_extensions import override

from loadline_serving.lifecycle import Lifecycle

Answer = tuple[int, str, bytes]
Routes = Mapping[str, Callable[[], Answer]]


def routes(lifecycle: Lifecycle, metrics: Callable[[], bytes], snapshot: Callable[[], bytes]) -> Routes:
    """What each path answers."""

    def says(*, holds: bool) -> Answer:
        body = json.dumps({"state": lifecycle.state.value}).encode()
        return (200 if holds else 503), "application/json", body

    return {
        "/livez": lambda: says(holds=lifecycle.alive),
        "/startupz": lambda: says(holds=lifecycle.started),
        "/readyz": lambda: says(holds=lifecycle.wants_requests),
        SERVING_STATS_PATH: lambda: (200, "application/json", snapshot()),
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, metrics()),
    }


class ProbeServer:
    """A small threaded HTTP server."""

    def __init__(self, routes: Routes, host: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"routes": routes})
        self._server = _Server((host, port), handler)
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Answer from now until the process ends."""
        Thread(target=self._server.serve_forever, name="probes", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    routes: Routes

    def do_GET(self) -> None:
        route = self.routes.get(self.path.partition("?")[0])
        status, content_type, body = route() if route else (404, "application/json", b'{"error": "no such path"}')
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every second: they are not events."""
