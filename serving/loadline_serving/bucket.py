"""How is a file read from an S3 bucket that the store's usual variables open?"""

import os
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import obstore
from loadline_contracts.conditions import Reason
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from loadline_serving.download import Stream
from loadline_serving.errors import StartupFault
from loadline_serving.fetch import CALL_SECONDS, CONNECT_SECONDS, certificates, said_by_store
from loadline_serving.patience import UnreachableError

CHUNK_BYTES = 8 << 20
"""A file is read in pieces: each has its own deadline."""
_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_REMEDY = (
    "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, AWS_ENDPOINT_URL for a store of another maker, or "
    "AWS_SKIP_SIGNATURE=true for a public bucket"
)

Result = TypeVar("Result")


class Bucket:
    """A bucket, opened by the variables AWS_…."""

    def __init__(self, name: str, *, ca_bundle: Path | None = None) -> None:
        self.name = name
        endpoint = os.environ.get("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT", ""))
        client: dict[str, object] = {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=CALL_SECONDS),
        }
        if ca_bundle:
            client["root_certificate"] = certificates(ca_bundle)
        try:
            self.store = S3Store(name, client_options=client, retry_config={"max_retries": 0})  # type: ignore[arg-type]
        except (BaseError, ValueError) as error:
            raise StartupFault(Reason.BAD_SETTINGS, f"s3://{name}: {said_by_store(error)}; {_REMEDY}") from error

    def listing(self, prefix: str) -> list[tuple[str, int]]:
        """Key and size of every object below a prefix."""
        what = f"s3://{self.name}/{prefix}"
        found = ask(what, lambda: obstore.list(self.store, prefix=prefix or None).collect())
        return [(item["path"], item["size"]) for item in found]


class BucketFile:
    """One object of a bucket."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self.name = f"s3://{bucket.name}/{key}"

    def open(self, start: int, tag: str | None) -> Stream:
        """Read from a place on, if the object still has that tag."""
        head = ask(self.name, lambda: obstore.head(self._bucket.store, self._key))
        found, whole = head["e_tag"], head["size"]
        begin = start if start <= whole and found is not None and found == tag else 0
        return Stream(start=begin, size=whole, tag=found, pieces=self._pieces(begin, whole, found))

    def _pieces(self, start: int, whole: int, tag: str | None) -> Generator[bytes, None, None]:
        for begin in range(start, whole, CHUNK_BYTES):
            end = min(begin + CHUNK_BYTES, whole)
            yield ask(self.name, lambda begin=begin, end=end: self._range(begin, end, tag))  # type: ignore[misc]

    def _range(self, begin: int, end: int, tag: str | None) -> bytes:
        answer = obstore.get(self._bucket.store, self._key, options={"range": (begin, end), "if_match": tag})
        return bytes(answer.bytes())


def ask(what: str, call: Callable[[], Result]) -> Result:
    """Ask the store; what will not change by waiting is a fault."""
    try:
        return call()
    except FileNotFoundError as error:
        raise StartupFault(
            Reason.SOURCE_REFUSED, f"{what} is not there: {said_by_store(error)}; correct the address"
        ) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StartupFault(
            Reason.SOURCE_REFUSED, f"{what}: the store refuses the credentials: {said_by_store(error)}; {_REMEDY}"
        ) from error
    except PreconditionError as error:
        raise UnreachableError("it was replaced while it was read") from error
    except (BaseError, OSError) as error:
        anonymous = "" if any(key in os.environ for key in _KEYS) else f" (no credentials: {_REMEDY})"
        raise UnreachableError(said_by_store(error) + anonymous) from error
