"""Which model does a `spec.model` name?

Three spellings lead to a model: a registered version (`models:/name/7`), an alias of one (`models:/name@champion`),
and a plain ONNX file (`https://…` or `s3://bucket/key`) whose sha256 the user gives, since no registry vouches for it.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

REGISTRY_SCHEME = "models:/"
PLAIN_FILE_ENTRY = "model.onnx"
"""The path of a plain file in its manifest: the same bytes from two addresses are the same model."""

_SPELLINGS = "models:/name/7, models:/name@alias, https://host/file.onnx or s3://bucket/file.onnx"
_MODEL_NAME = re.compile(r"[^\s/:@](?:[^\x00-\x1f\x7f/:@]*[^\s/:@])?")
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_ALIAS = re.compile(r"[\w.-]{1,255}", re.ASCII)
_RESERVED_ALIAS = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class ModelUriError(ValueError):
    """A `spec.model` names no model that could be looked for."""


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model: `models:/name/7`."""

    name: str
    version: str

    @property
    def uri(self) -> str:
        """The reference as a user writes it."""
        return f"{REGISTRY_SCHEME}{self.name}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class RegisteredAlias:
    """Whatever version an alias of a registered model points to: `models:/name@champion`."""

    name: str
    alias: str

    @property
    def uri(self) -> str:
        """The reference as a user writes it."""
        return f"{REGISTRY_SCHEME}{self.name}@{self.alias}"


@dataclass(frozen=True, kw_only=True)
class PlainFile:
    """One ONNX file outside every registry, by its address and its sha256."""

    uri: str
    sha256: str


ModelReference = RegisteredVersion | RegisteredAlias | PlainFile


def parse_model_uri(uri: str, sha256: str | None = None) -> ModelReference:
    """Read `spec.model.uri` and `spec.model.sha256`; ModelUriError says what to write instead."""
    if uri.startswith(REGISTRY_SCHEME):
        return _registered(uri, sha256)
    if uri.startswith(("https://", "s3://")):
        return _plain_file(uri, sha256)
    raise ModelUriError(f"{uri!r} names no model: write {_SPELLINGS}")


def _registered(uri: str, sha256: str | None) -> RegisteredVersion | RegisteredAlias:
    if sha256 is not None:
        raise ModelUriError(f"{uri} takes no sha256: a registered version is pinned when it is first seen")
    path = uri.removeprefix(REGISTRY_SCHEME)
    name, separator, which = path.partition("@" if "@" in path else "/")
    if not _MODEL_NAME.fullmatch(name):
        raise ModelUriError(f"{uri!r} names no model: write models:/name/7 or models:/name@alias")
    if separator == "@":
        return RegisteredAlias(name=name, alias=_alias(uri, which))
    if not _VERSION.fullmatch(which):
        raise ModelUriError(
            f"{uri!r} names no version: write a version number (models:/{name}/7) or an alias (models:/{name}@alias); "
            "stages and 'latest' are not followed"
        )
    return RegisteredVersion(name=name, version=which)


def _alias(uri: str, alias: str) -> str:
    if not _ALIAS.fullmatch(alias):
        raise ModelUriError(f"{uri!r} names no alias: an alias is letters, digits, '_' and '-'")
    if _RESERVED_ALIAS.fullmatch(alias):
        raise ModelUriError(
            f"{uri!r}: the registry keeps 'latest' and 'v<number>' for itself; name an alias of your own"
        )
    return alias


def _plain_file(uri: str, sha256: str | None) -> PlainFile:
    if sha256 is None:
        raise ModelUriError(f"{uri} needs sha256 beside it: no registry vouches for a plain file")
    if not _SHA256.fullmatch(sha256):
        raise ModelUriError(f"sha256 {sha256!r} is not 64 lower-case hex digits, as sha256sum prints them")
    try:
        address = urlsplit(uri)
        address.port  # noqa: B018  # reading it is what checks it
    except ValueError as error:
        raise ModelUriError(f"{uri!r} is no address: {error}") from None
    _check_address(uri, address)
    return PlainFile(uri=uri, sha256=sha256)


def _check_address(uri: str, address: SplitResult) -> None:
    if any(character.isspace() or not character.isprintable() for character in uri):
        raise ModelUriError(f"{uri!r} holds white space or a control character")
    if "@" in address.netloc:
        raise ModelUriError("a model's address holds no user or password: they would be readable in the object")
    if not address.hostname or address.path in {"", "/"} or address.path.endswith("/"):
        raise ModelUriError(f"{uri!r} names no file")
    if address.fragment or (address.scheme == "s3" and address.query):
        raise ModelUriError(f"{uri!r} holds a part that names no file ('#' or '?')")
    if address.scheme == "s3" and not _BUCKET.fullmatch(address.netloc):
        raise ModelUriError(f"{uri!r} names no bucket: write s3://bucket/path/file.onnx")
