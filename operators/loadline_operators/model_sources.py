"""Where do a model's bytes come from?"""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urljoin, urlsplit

import httpx
import obstore
from loadline_contracts.model_uri import PLAIN_FILE_ENTRY, PlainFile
from obstore.exceptions import BaseError as ObjectStoreError
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from loadline_operators.model_errors import NotServableError, SourceRefusedError, SourceUnavailableError

if TYPE_CHECKING:
    from obstore.store import S3Config

CHUNK_BYTES = 1 << 20
_LISTING_SECONDS = 30
_STALL = httpx.Timeout(connect=5, read=30, write=10, pool=30)
_REDIRECTS = 5
_STATUS = re.compile(r"status code: ([0-9]{3}[A-Za-z ]*)")
_REFUSAL = re.compile(r"40[0134]\b")
_ERROR_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_DURATION = re.compile(r" in [0-9.]+[mµn]?s\b")


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A file as its source lists it, unread."""

    path: str
    size: int | None
    """None where the source does not tell before the file is read."""


class Source(Protocol):
    """A set of files that can be listed and read."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    async def listing(self) -> tuple[ListedFile, ...]:
        """All files below the source, sorted by path."""

    def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one file, in pieces."""


@dataclass(frozen=True, kw_only=True)
class BucketOptions:
    """How `s3://` addresses outside the chart's own store are reached."""

    endpoint: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = ""
    ambient: bool = False
    """Use the identity of the operator's pod. Otherwise buckets are read with the keys above, or as anybody."""

    def open(self, bucket: str) -> S3Store:
        """The bucket, with these credentials."""
        config: S3Config = {
            "region": self.region,
            "skip_signature": not (self.access_key_id or self.ambient),
            "virtual_hosted_style_request": False,
        }
        if self.endpoint:
            config["endpoint"] = self.endpoint
        if self.access_key_id:
            config["access_key_id"] = self.access_key_id
            config["secret_access_key"] = self.secret_access_key
        try:
            return S3Store(
                bucket,
                config=config,
                client_options={"allow_http": True, "connect_timeout": "5s", "timeout": "60s"},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
            )
        except (ObjectStoreError, ValueError) as error:
            raise SourceRefusedError(f"s3://{bucket}", said_by_store(error)) from error


class BucketFiles:
    """The files below a prefix of an S3 bucket: an artifact root that the registry does not proxy."""

    def __init__(self, uri: str, options: BucketOptions) -> None:
        self.name = uri
        address = urlsplit(uri)
        self._prefix = address.path.strip("/")
        self._bucket = options.open(address.netloc)

    async def listing(self) -> tuple[ListedFile, ...]:
        """All objects below the prefix."""
        async with _object_errors(self.name), asyncio.timeout(_LISTING_SECONDS):
            pages = [page async for page in obstore.list(self._bucket, prefix=self._prefix or None)]
        files = [ListedFile(path=self._relative(item["path"]), size=item["size"]) for page in pages for item in page]
        return tuple(sorted(files, key=lambda file: file.path))

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one object."""
        key = f"{self._prefix}/{path}" if self._prefix else path
        async for piece in _object_bytes(self._bucket, key, name=f"{self.name}/{path}"):
            yield piece

    def _relative(self, key: str) -> str:
        return key.removeprefix(self._prefix).lstrip("/")


class BucketFile:
    """One object of an S3 bucket, as a model of its own."""

    def __init__(self, file: PlainFile, options: BucketOptions) -> None:
        self.name = file.uri
        address = urlsplit(file.uri)
        self._key = address.path.lstrip("/")
        self._bucket = options.open(address.netloc)

    async def listing(self) -> tuple[ListedFile, ...]:
        """The one file."""
        async with _object_errors(self.name), asyncio.timeout(_LISTING_SECONDS):
            head = await obstore.head_async(self._bucket, self._key)
        return (ListedFile(path=PLAIN_FILE_ENTRY, size=head["size"]),)

    def read(self, path: str) -> AsyncGenerator[bytes, None]:  # noqa: ARG002  # a source has one signature; here there is one file
        """The bytes of the object."""
        return _object_bytes(self._bucket, self._key, name=self.name)


class HttpsFile:
    """One file behind an https address, as a model of its own."""

    def __init__(self, file: PlainFile, client: httpx.AsyncClient) -> None:
        self.name = file.uri
        self._client = client

    async def listing(self) -> tuple[ListedFile, ...]:
        """The one file; its size is known when it has been read, since not every server tells before."""
        return (ListedFile(path=PLAIN_FILE_ENTRY, size=None),)

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:  # noqa: ARG002  # a source has one signature; here there is one file
        """The bytes behind the address."""
        async with self._response() as response:
            async for piece in response.aiter_bytes(CHUNK_BYTES):
                yield piece

    @asynccontextmanager
    async def _response(self) -> AsyncIterator[httpx.Response]:
        url = self.name
        for _ in range(_REDIRECTS):
            async with http_response(self._client, url, name=self.name) as response:
                if not response.is_redirect:
                    yield response
                    return
                url = urljoin(url, response.headers.get("location", ""))
            if not url.startswith("https://"):
                raise SourceRefusedError(self.name, f"it leads to {url}, which is not https")
        raise SourceRefusedError(self.name, f"more than {_REDIRECTS} redirects")


@asynccontextmanager
async def http_response(client: httpx.AsyncClient, url: str, *, name: str) -> AsyncIterator[httpx.Response]:
    """The answer to a GET, its errors in this project's words; a read that stalls is an error too."""
    try:
        async with client.stream("GET", url, headers={"accept-encoding": "identity"}, timeout=_STALL) as response:
            if response.status_code >= 500 or response.status_code == 429:
                raise SourceUnavailableError(name, f"HTTP {response.status_code}")
            if response.status_code >= 400:
                raise SourceRefusedError(name, f"HTTP {response.status_code}")
            yield response
    except httpx.HTTPError as error:
        raise SourceUnavailableError(name, f"{type(error).__name__}: {error}") from error
    except (httpx.InvalidURL, UnicodeError) as error:
        raise SourceRefusedError(name, str(error)) from error


def open_plain_file(file: PlainFile, *, client: httpx.AsyncClient, buckets: BucketOptions) -> Source:
    """The source that a plain file's address names."""
    return BucketFile(file, buckets) if file.uri.startswith("s3://") else HttpsFile(file, client)


def https_client(ca_bundle: Path | None) -> httpx.AsyncClient:
    """A client that trusts the system's authorities and those of the bundle."""
    trust = ssl.create_default_context()
    if ca_bundle is not None:
        trust.load_verify_locations(ca_bundle)
    return httpx.AsyncClient(verify=trust, follow_redirects=False, limits=httpx.Limits(max_connections=16))


def quoted(path: str) -> str:
    """A path as it stands in an address."""
    return quote(path, safe="/")


def refuse_unreadable_listing(files: tuple[ListedFile, ...], *, name: str, most: int) -> None:
    """Refuse what no model is: nothing at all, or a whole tree."""
    if not files:
        raise NotServableError(name, "there are no files at its artifact location", "Log the model again.")
    if len(files) > most:
        raise NotServableError(name, f"it has more than {most} files", "Log the ONNX model alone.")


async def _object_bytes(bucket: S3Store, key: str, *, name: str) -> AsyncGenerator[bytes, None]:
    async with _object_errors(name):
        found = await obstore.get_async(bucket, key)
        async for piece in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(piece)


@asynccontextmanager
async def _object_errors(name: str) -> AsyncIterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise SourceRefusedError(name, "there is no such object") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise SourceRefusedError(name, "the object store refuses the credentials") from error
    except (ObjectStoreError, TimeoutError) as error:
        said = said_by_store(error)
        if _REFUSAL.match(said):
            raise SourceRefusedError(name, said) from error
        raise SourceUnavailableError(name, said) from error


def said_by_store(error: BaseException) -> str:
    """What an object store said, in a few words that are the same each time: they end in an object's status."""
    text = str(error)
    status, code = _STATUS.search(text), _ERROR_CODE.search(text)
    if status:
        return " ".join([status[1].strip(), *([code[1]] if code else [])])
    return _DURATION.sub("", text.strip().split("\n", 1)[0]).rsplit(" - ", 1)[-1] or type(error).__name__
