"""How do a model's files come from the object store into the pod, each of them verified?

A store that cannot be reached is waited for; files that are not what the digest says end the container at once.
"""

import asyncio
import hashlib
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TypeVar

import obstore
from loadline_contracts.conditions import Reason
from loadline_contracts.model_files import (
    FILES_FOLDER,
    MANIFEST_NAME,
    ModelFile,
    ModelManifest,
    file_key,
    manifest_key,
)
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url
from pydantic import ValidationError

from loadline_serving.errors import StartupFault
from loadline_serving.settings import FetchSettings

log = logging.getLogger(__name__)

CALL_SECONDS = 60.0
"""The deadline of every call to the store."""
CONNECT_SECONDS = 5.0
CHUNK_BYTES = 16 * 1024 * 1024
"""Files are read in pieces: each has its own deadline, and only the last is read again after an outage."""
_FIRST_DELAY, _LAST_DELAY = 0.25, 5.0

Result = TypeVar("Result")


def open_store(settings: FetchSettings) -> ObjectStore:
    """The store that the settings name."""
    options = _client_options(settings)
    try:
        if settings.store_url.startswith("file:"):
            return from_url(settings.store_url)
        return from_url(  # type: ignore[call-overload,no-any-return]
            settings.store_url, config=_s3_config(settings), client_options=options, retry_config={"max_retries": 0}
        )
    except (BaseError, ValueError, OSError) as error:
        raise StartupFault(Reason.BAD_SETTINGS, f"LOADLINE_STORE_URL {settings.store_url}: {error}") from error


def _s3_config(settings: FetchSettings) -> dict[str, object]:
    """Endpoint and region; the other clouds know no such keys and would refuse them."""
    if not settings.store_url.startswith("s3:"):
        return {}
    config: dict[str, object] = {}
    if settings.store_endpoint:
        config |= {"endpoint": settings.store_endpoint, "virtual_hosted_style_request": False}
    if settings.store_region:
        config["region"] = settings.store_region
    return config


def _client_options(settings: FetchSettings) -> dict[str, object]:
    options: dict[str, object] = {
        "allow_http": bool(settings.store_endpoint and settings.store_endpoint.startswith("http://")),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=CALL_SECONDS),
    }
    if settings.ca_bundle:
        options["root_certificate"] = certificates(settings.ca_bundle)
    return options


def certificates(bundle: Path) -> bytes:
    """A bundle's bytes; a fault that names the bundle when it is none."""
    try:
        # The store's client names neither the file nor the setting, so the file is read as certificates here first.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
        return bundle.read_bytes()
    except OSError as error:
        raise StartupFault(
            Reason.BAD_SETTINGS, f"LOADLINE_CA_BUNDLE {bundle} holds no certificates in PEM: {error}"
        ) from error


async def fetch(store: ObjectStore, digest: str, folder: Path) -> ModelManifest:
    """Bring the model's files into the folder; what is there and right is left alone. The manifest comes last."""
    begun = monotonic()
    manifest = await _fetch_manifest(store, digest)
    fetched = 0
    for file in manifest.files:
        target = folder / FILES_FOLDER / file.path
        if not await asyncio.to_thread(_is_right, target, file):
            await _fetch_file(store, file_key(digest, file.path), file, target)
            fetched += file.size
    _write(folder / MANIFEST_NAME, [manifest.canonical_json()])
    log.info(
        "Fetched model",
        extra={
            "digest": digest,
            "files": len(manifest.files),
            "fetched_bytes": fetched,
            "bytes": manifest.size,
            "seconds": round(monotonic() - begun, 3),
        },
    )
    return manifest


async def _fetch_manifest(store: ObjectStore, digest: str) -> ModelManifest:
    key = manifest_key(digest)
    data = await _patiently(key, lambda: _whole(store, key))
    try:
        manifest = ModelManifest.model_validate_json(data)
    except ValidationError as error:
        raise StartupFault(Reason.DIGEST_MISMATCH, f"{key} is no manifest: {said_by_store(error)}") from error
    if manifest.digest != digest:
        raise StartupFault(
            Reason.DIGEST_MISMATCH,
            f"{key} has digest {manifest.digest}; delete models/{digest[7:]}/ from the store to have it copied again",
        )
    return manifest


async def _fetch_file(store: ObjectStore, key: str, file: ModelFile, target: Path) -> None:
    size = await _patiently(key, lambda: _size(store, key))
    if size != file.size:
        raise StartupFault(Reason.DIGEST_MISMATCH, f"{key} has {size} bytes; its manifest says {file.size}")
    partial = target.with_name(target.name + ".partial")
    checksum = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as out:
            for start in range(0, size, CHUNK_BYTES):
                end = min(start + CHUNK_BYTES, size)
                chunk = await _patiently(key, lambda start=start, end=end: _range(store, key, start, end))  # type: ignore[misc]
                checksum.update(chunk)
                out.write(chunk)
        if checksum.hexdigest() != file.sha256:
            raise StartupFault(
                Reason.DIGEST_MISMATCH,
                f"{key} has sha256 {checksum.hexdigest()}; its manifest says {file.sha256}",
            )
        partial.replace(target)
    except OSError as error:
        raise StartupFault(Reason.MODEL_FILES_UNAVAILABLE, f"cannot write {target} ({size} bytes): {error}") from error


async def _patiently(key: str, call: Callable[[], Awaitable[Result]]) -> Result:
    """Call until the store answers; what will not change by waiting is a fault."""
    for delay in _delays():
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await call()
        except FileNotFoundError as error:
            raise StartupFault(
                Reason.MODEL_FILES_UNAVAILABLE, f"{key} is not on the object store: {said_by_store(error)}"
            ) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StartupFault(
                Reason.MODEL_FILES_UNAVAILABLE,
                f"the object store refuses the pod's credentials for {key}: {said_by_store(error)}",
            ) from error
        except (BaseError, OSError, TimeoutError) as error:
            log.warning(
                "Waiting for the object store",
                extra={"key": key, "error": said_by_store(error), "retry_seconds": delay},
            )
        await asyncio.sleep(delay)
    raise AssertionError("the delays never end")


def _delays() -> Iterator[float]:
    delay = _FIRST_DELAY
    while True:
        yield delay
        delay = min(delay * 2, _LAST_DELAY)


async def _whole(store: ObjectStore, key: str) -> bytes:
    answer = await obstore.get_async(store, key)
    return bytes(await answer.bytes_async())


async def _size(store: ObjectStore, key: str) -> int:
    return (await obstore.head_async(store, key))["size"]


async def _range(store: ObjectStore, key: str, start: int, end: int) -> bytes:
    return bytes(await obstore.get_range_async(store, key, start=start, end=end))


def _is_right(path: Path, file: ModelFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def _write(path: Path, chunks: list[bytes]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(b"".join(chunks))
    partial.replace(path)


def said_by_store(error: Exception) -> str:
    """What the store's client says that helps a person."""
    # The store's client appends a dump of its structures. It tells an operator nothing, but for what is wrong with a
    # certificate, which stands nowhere else.
    said, _, structures = str(error).partition("Debug source")
    text = " ".join(said.split()).rstrip(": ")[:500]
    refused = re.search(r"InvalidCertificate\(\s*(\w+)", structures)
    return f"{text} (certificate not accepted: {refused[1]})" if refused else text
