"""Which models lie on the object store, and how do they come there?

The files go first and the manifest last, so that whoever reads a manifest finds its files. Nothing is written to a disk
on the way: the digest is known from a first reading, and the second goes straight to the store, checked as it passes.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from loadline_contracts.model_files import ModelFile, ModelManifest, VersionPin, file_key, manifest_key, pin_key
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, ObjectStore, S3Store, from_url
from pydantic import ValidationError

from loadline_operators.model_errors import SourceUnavailableError, StoreUnavailableError
from loadline_operators.model_sources import Source, said_by_store

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_ANSWER_SECONDS = 10
_PART_BYTES = 8 << 20
_PARTS_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Where the chart's object store is. Its credentials are the usual ones of its kind, from the environment."""

    url: str
    """`s3://bucket`, `gs://bucket`, `abfss://container@account.dfs.core.windows.net` or `file:///folder`; a path may
    follow."""
    endpoint: str = ""
    region: str = "us-east-1"

    def open(self) -> ObjectStore:
        """The store, with retries so short that a caller hears of an outage."""
        if self.url.startswith("file://"):
            return LocalStore.from_url(self.url, mkdir=True)
        client: ClientConfig = {"allow_http": True, "connect_timeout": "3s", "timeout": "60s"}
        retry: RetryConfig = {"max_retries": 1, "retry_timeout": timedelta(seconds=5)}
        if not self.url.startswith("s3://"):
            return from_url(self.url, client_options=client, retry_config=retry)
        config: S3Config = {"region": self.region, "virtual_hosted_style_request": False}
        if self.endpoint:
            config["endpoint"] = self.endpoint
        return S3Store.from_url(self.url, config=config, client_options=client, retry_config=retry)


class ModelStore:
    """The models on an object store, by digest, and the digests that registered versions had first."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def check(self) -> None:
        """Raise StoreUnavailableError unless the store answers now."""
        # A listing: a missing bucket fails it, where a look for one object would just find nothing.
        try:
            async with _answering("listing the models"):
                async for _ in obstore.list(self._store, prefix="models", chunk_size=1):
                    return
        except FileNotFoundError as error:
            raise StoreUnavailableError("listing the models", "there is no such bucket or folder") from error

    async def has(self, digest: str) -> bool:
        """Whether all files of a model are there."""
        try:
            async with _answering(f"looking for model {digest}"):
                await obstore.head_async(self._store, manifest_key(digest))
        except FileNotFoundError:
            return False
        return True

    async def manifest(self, digest: str) -> ModelManifest | None:
        """The manifest of a model; None when the model is not there."""
        text = await self._read(manifest_key(digest), doing=f"reading the manifest of {digest}")
        return ModelManifest.model_validate_json(text) if text is not None else None

    async def write(self, manifest: ModelManifest, source: Source) -> None:
        """Copy a model's files from their source, then say that they are there."""
        digest = manifest.digest
        if await self.has(digest):
            return
        for file in manifest.files:
            await self._write_file(digest, file, source)
        async with _answering(f"writing the manifest of {digest}"):
            await obstore.put_async(self._store, manifest_key(digest), manifest.canonical_json())

    async def pinned(self, registry: str, model: str, version: str) -> str | None:
        """The digest that a registered version had first; None when it was never seen."""
        key = pin_key(registry, model, version)
        text = await self._read(key, doing=f"reading {key}")
        if text is None:
            return None
        try:
            return VersionPin.model_validate_json(text).digest
        except ValidationError as error:
            raise StoreUnavailableError(f"reading {key}", "it holds no pin: delete it, and it is made anew") from error

    async def pin(self, registry: str, model: str, version: str, digest: str) -> str:
        """Say once and for all which digest a version has. Return the one that stands: the first."""
        key = pin_key(registry, model, version)
        pin = VersionPin(digest=digest).model_dump_json().encode()
        try:
            async with _answering(f"writing {key}"):
                await obstore.put_async(self._store, key, pin, mode="create")
        except AlreadyExistsError:
            return await self.pinned(registry, model, version) or digest
        return digest

    async def _read(self, key: str, *, doing: str) -> bytes | None:
        try:
            async with _answering(doing):
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None

    async def _write_file(self, digest: str, file: ModelFile, source: Source) -> None:
        key = file_key(digest, file.path)
        async with aclosing(_checked(file, source)) as pieces, _store_errors(f"writing {key}"):
            if file.size <= _PART_BYTES:
                body = b"".join([piece async for piece in pieces])
                await obstore.put_async(self._store, key, body, use_multipart=False)
            else:
                await obstore.put_async(
                    self._store, key, pieces, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
                )


async def _checked(file: ModelFile, source: Source) -> AsyncGenerator[bytes, None]:
    """The bytes of a file; others than those of the first reading are an error before they count as written."""
    digest = hashlib.sha256()
    async for piece in source.read(file.path):
        await asyncio.to_thread(digest.update, piece)
        yield piece
    if digest.hexdigest() != file.sha256:
        raise SourceUnavailableError(source.name, f"the bytes of {file.path} changed while they were copied")


@asynccontextmanager
async def _answering(doing: str) -> AsyncIterator[None]:
    async with _store_errors(doing), asyncio.timeout(_ANSWER_SECONDS):
        yield


@asynccontextmanager
async def _store_errors(doing: str) -> AsyncIterator[None]:
    """Say store errors in this project's words; an answer of its kind (no such object, there already) stays itself."""
    try:
        yield
    except (FileNotFoundError, AlreadyExistsError):
        raise
    except (BaseError, TimeoutError, OSError) as error:
        raise StoreUnavailableError(doing, said_by_store(error)) from error
