"""Is a plain file taken only when it is the one that was promised?"""

import asyncio
import hashlib
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from loadline_operators.planning import Resolution
from support.certificates import Authority
from support.resolving import OFTEN, Resolving, has_failed, is_resolved
from support.waiting import wait_for
from typing_extensions import override

CONTENT = b"the bytes of a model"
PAGE = b"<!DOCTYPE html><title>Please log in</title>"
NO_REGISTRY = "http://127.0.0.1:1"


class Handler(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        answers: dict[str, tuple[int, bytes, str]] = {
            "/model.onnx": (200, CONTENT, ""),
            "/page.onnx": (200, PAGE, ""),
            "/moved.onnx": (302, b"", "/model.onnx"),
            "/plainly.onnx": (302, b"", "http://127.0.0.1:1/model.onnx"),
            "/broken.onnx": (503, b"", ""),
        }
        status, body, location = answers.get(self.path, (404, b"", ""))
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if location:
            self.send_header("location", location)
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Tests have their own output."""


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that only its own bundle vouches for."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def site(company: Authority) -> Iterator[str]:
    """An https site on loopback."""
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(company.for_localhost())
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def resolver(company: Authority, store_folder: Path) -> Resolving:
    """A resolver that trusts the site, and knows no registry."""
    return Resolving(url=NO_REGISTRY, store_folder=store_folder, options=OFTEN, ca_bundle=company.bundle)


async def test_a_file_with_the_promised_sha256_is_copied(resolver: Resolving, site: str) -> None:
    async with resolver.running():
        found = await resolver.until(is_resolved, f"{site}/model.onnx", sha256_of(CONTENT))
    manifest = resolver.manifest(found.digest)
    assert [(file.path, file.sha256) for file in manifest.files] == [("model.onnx", sha256_of(CONTENT))]
    assert found.version == f"sha256:{sha256_of(CONTENT)[:12]}"


async def test_the_same_bytes_from_another_address_are_the_same_model_and_need_no_second_download(
    resolver: Resolving, site: str
) -> None:
    async with resolver.running():
        first = await resolver.until(is_resolved, f"{site}/model.onnx", sha256_of(CONTENT))
        second = await resolver.until(is_resolved, f"{site}/moved.onnx", sha256_of(CONTENT), holder="team/other")
    assert first.digest == second.digest
    assert "/moved.onnx" not in Handler.asked


async def test_a_redirect_within_https_is_followed(resolver: Resolving, site: str) -> None:
    async with resolver.running():
        found = await resolver.until(is_resolved, f"{site}/moved.onnx", sha256_of(CONTENT))
    assert found.digest


async def test_a_redirect_out_of_https_is_not_followed(resolver: Resolving, site: str) -> None:
    async with resolver.running():
        found = await resolver.until(has_failed, f"{site}/plainly.onnx", sha256_of(CONTENT))
    assert found.reason == "SourceRefused"
    assert "not https" in found.message


async def test_another_file_than_promised_is_refused_and_not_fetched_over_and_over(
    resolver: Resolving, site: str
) -> None:
    other = sha256_of(b"another model")
    async with resolver.running():
        found = await resolver.until(has_failed, f"{site}/model.onnx", other)
        asked = len(Handler.asked)
        await resolver.until(has_failed, f"{site}/missing.onnx", other, holder="team/clock")
    assert found.reason == "DigestMismatch"
    assert other in found.message
    assert sha256_of(CONTENT) in found.message
    assert Handler.asked.count("/model.onnx") == asked


async def test_a_web_page_in_place_of_the_file_is_called_what_it_is(resolver: Resolving, site: str) -> None:
    async with resolver.running():
        found = await resolver.until(has_failed, f"{site}/page.onnx", sha256_of(CONTENT))
    assert found.reason == "NotServable"
    assert "web page" in found.message


async def test_a_missing_file_is_a_refusal(resolver: Resolving, site: str) -> None:
    async with resolver.running():
        found = await resolver.until(has_failed, f"{site}/missing.onnx", sha256_of(CONTENT))
    assert (found.reason, "HTTP 404" in found.message) == ("SourceRefused", True)


async def test_a_site_that_is_out_of_order_is_asked_again(resolver: Resolving, site: str) -> None:
    async with resolver.running():
        found = await resolver.until(unavailable, f"{site}/broken.onnx", sha256_of(CONTENT))
        await asyncio.to_thread(wait_for, lambda: Handler.asked.count("/broken.onnx") > 2, "asked again", within=20)
    assert found.state == "pending"


async def test_a_site_that_nobody_vouches_for_is_not_trusted(store_folder: Path, site: str) -> None:
    resolver = Resolving(url=NO_REGISTRY, store_folder=store_folder)
    async with resolver.running():
        found = await resolver.until(unavailable, f"{site}/model.onnx", sha256_of(CONTENT))
    assert "CERTIFICATE_VERIFY_FAILED" in found.message


def unavailable(found: Resolution) -> bool:
    return found.reason == "SourceUnavailable"


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
