"""How is a file or an answer had over HTTP, with a deadline for every wait?"""

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import IO, Any
from urllib.parse import urlsplit

from loadline_contracts.conditions import Reason
from typing_extensions import override

from loadline_serving.download import Stream
from loadline_serving.errors import StartupFault
from loadline_serving.fetch import certificates
from loadline_serving.patience import UnreachableError

ANSWER_SECONDS = 20.0
"""The deadline of connecting, and of every wait for more bytes."""
PACE_SECONDS, PACE_BYTES = 60.0, 64 * 1024
"""Whoever sends fewer bytes in that time is given up, however often a byte comes."""
_CHUNK_BYTES = 1 << 20
_MAX_ANSWER_BYTES = 16 << 20
_TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_REMEDIES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "it wants other credentials",
    HTTPStatus.FORBIDDEN: "the credentials may not read it, or the address has expired",
    HTTPStatus.NOT_FOUND: "there is no such file; correct the address",
}


class StatusError(Exception):
    """An answer that will be the same next time."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class Web:
    """An HTTP client: redirects are followed, but never from https to http, nor do credentials go along."""

    def __init__(self, *, authorization: str | None = None, ca_bundle: Path | None = None) -> None:
        trust = ssl.create_default_context()
        if ca_bundle:
            trust.load_verify_locations(cadata=certificates(ca_bundle).decode())
        self._authorization = authorization
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), _Redirects())

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """The answer's head is there. Raises UnreachableError, or StatusError for what will not change by waiting."""
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", **(headers or {})})  # noqa: S310
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=ANSWER_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                if error.code >= 500 or error.code in _TRANSIENT:
                    raise UnreachableError(f"HTTP {error.code}") from None
                raise StatusError(error.code, error.read(2000)) from None
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(_said(error)) from error
        return response

    def read(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """A small answer, whole."""
        body = b""
        for piece in pieces(self.open(url, headers)):
            body += piece
            if len(body) > _MAX_ANSWER_BYTES:
                raise UnreachableError(f"the answer is larger than {_MAX_ANSWER_BYTES} bytes")
        return body


class WebFile:
    """A file behind an address."""

    def __init__(self, web: Web, url: str) -> None:
        self._web = web
        self._url = url
        # What follows the path may be a signature that opens the file to anybody.
        self.name = urlsplit(url)._replace(query="", fragment="").geturl()

    def open(self, start: int, tag: str | None) -> Stream:
        """Read from a place on, if the file still has that tag."""
        headers = {"Range": f"bytes={start}-", "If-Range": tag} if start and tag else {}
        try:
            response = self._web.open(self._url, headers)
        except StatusError as error:
            if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return self.open(0, None)
            raise StartupFault(
                Reason.SOURCE_REFUSED,
                f"{self.name} is not handed out: {error}; {_REMEDIES.get(error.status, 'look at its server')}",
            ) from error
        partial = response.status == HTTPStatus.PARTIAL_CONTENT
        begin = start if partial else 0
        length = response.headers.get("Content-Length")
        whole = begin + int(length) if length and length.isdigit() else None
        return Stream(start=begin, size=whole, tag=_strong(response.headers.get("ETag")), pieces=pieces(response))


def pieces(response: http.client.HTTPResponse) -> Generator[bytes, None, None]:
    """The body as it comes; UnreachableError when it stops coming, or drips."""
    with response:
        began, received = monotonic(), 0
        try:
            while piece := response.read1(_CHUNK_BYTES):
                yield piece
                received += len(piece)
                if (now := monotonic()) - began > PACE_SECONDS:
                    if received < PACE_BYTES:
                        raise UnreachableError(f"only {received} bytes came in {now - began:.0f} s")
                    began, received = now, 0
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(_said(error)) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    @override
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise StartupFault(
                Reason.SOURCE_REFUSED, f"{urlsplit(req.full_url).netloc} redirects from https to {newurl}; not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _strong(tag: str | None) -> str | None:
    """A weak tag promises no equal bytes."""
    return tag if tag and not tag.startswith("W/") else None


def _said(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    return str(reason) or type(reason).__name__
