"""A folder that speaks enough S3 to read from: an object store that can be away and come back on the same port."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from typing_extensions import override


@contextmanager
def s3_over(folder: Path, port: int = 0, *, certificate: Path | None = None) -> Iterator[str]:
    """Serve `folder/<bucket>/<key>`, over TLS with a certificate for localhost; yields the endpoint."""
    handler = type("Handler", (_Handler,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    address = "https://localhost" if certificate else "http://127.0.0.1"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    folder: Path

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # Whoever takes it for a proxy names the whole address.
        address = urlsplit(self.path)
        path = self.folder / unquote(address.path).lstrip("/")
        query = parse_qs(address.query)
        if "list-type" in query and path.is_dir():
            body = _listing(path, query.get("prefix", [""])[0])
            self._send(200, body, {"Content-Length": str(len(body)), "Content-Type": "application/xml"})
            return
        if not path.is_file():
            self._send(404, b"", {})
            return
        data = path.read_bytes()
        headers = {"ETag": '"1"', "Last-Modified": formatdate(0, usegmt=True)}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, last = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{last}/{len(data)}"
            data = data[start : last + 1]
            self._send(206, data if with_body else b"", headers | {"Content-Length": str(len(data))})
        else:
            self._send(200, data if with_body else b"", headers | {"Content-Length": str(len(data))})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Tests have their own output."""


def _listing(bucket: Path, prefix: str) -> bytes:
    """All objects whose key begins so, in one page."""
    found = sorted(path for path in bucket.rglob("*") if path.is_file())
    keys = {path.relative_to(bucket).as_posix(): path.stat().st_size for path in found}
    items = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{size}</Size><ETag>&quot;1&quot;</ETag>"
        "<LastModified>1970-01-01T00:00:00.000Z</LastModified></Contents>"
        for key, size in keys.items()
        if key.startswith(prefix)
    )
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()
