"""Where does the word MODEL of the command line lead?"""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from loadline_contracts.conditions import Reason
from loadline_contracts.model_files import FILES_FOLDER, MANIFEST_NAME, FilePath, ModelManifest
from loadline_contracts.model_uri import REGISTRY_SCHEME, ModelUriError, PlainFile, parse_model_uri
from pydantic import TypeAdapter, ValidationError

from loadline_serving.download import Remote, download, sha256_of
from loadline_serving.errors import StartupFault
from loadline_serving.mlmodel import DESCRIPTION, onnx_entry
from loadline_serving.outline import NotProtobufError, missing_files, read_outline
from loadline_serving.screen import Screen

_SPELLINGS = (
    "a file, a folder, https://host/file.onnx, s3://bucket/file.onnx, models:/name/7 or models:/name@alias are known"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FRAGMENT = "sha256="
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MAX_DESCRIPTION_BYTES = 256 << 10
_FILE_PATH: TypeAdapter[str] = TypeAdapter(FilePath)


@dataclass(frozen=True, kw_only=True)
class Located:
    """A model on this machine."""

    entry: Path
    """The ONNX file."""
    name: str
    """What it is called where nothing else is said."""
    version: str | None = None
    """Its version in the registry, if it comes from there."""

    @property
    def size(self) -> int:
        """The bytes of the ONNX file and of those that hold its weights."""
        return sum(path.stat().st_size for path in (self.entry, *self._external()) if path.is_file())

    def _external(self) -> Sequence[Path]:
        try:
            return [self.entry.parent / name for name in read_outline(self.entry).external]
        except (NotProtobufError, OSError):
            return []


def locate(word: str, *, sha256: str | None, screen: Screen, ca_bundle: Path | None = None) -> Located:
    """The model that a word names, brought to this machine if it lies elsewhere; a fault says what is wrong with it."""
    if word.startswith(REGISTRY_SCHEME):
        located = _registered(word, sha256, screen, ca_bundle)
    elif word.startswith(("https://", "http://", "s3://")):
        located = _plain_file(word, sha256, screen, ca_bundle)
    elif re.match(r"[a-z][a-z0-9+.-]+:/", word):
        raise StartupFault(Reason.INVALID_MODEL_URI, f"{word!r} names no model: {_SPELLINGS}")
    else:
        located = _local(Path(word), sha256)
    _expect_external_files(located.entry)
    return located


def cache_folder() -> Path:
    """Where downloads are kept: LOADLINE_CACHE_DIR, the user's cache, or a temporary folder where there is no home."""
    if given := os.environ.get("LOADLINE_CACHE_DIR"):
        return Path(given)
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "loadline" / "serving"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return _temporary_folder()
    return folder


def _temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"loadline-serving-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise StartupFault(
            Reason.BAD_SETTINGS, f"{folder} belongs to somebody else; name a folder of your own in LOADLINE_CACHE_DIR"
        )
    return folder


def _local(path: Path, sha256: str | None) -> Located:
    if path.is_file():
        if sha256:
            _expect_sha256(path, _digest(sha256))
        return Located(entry=path, name=path.stem)
    if not path.is_dir():
        raise StartupFault(Reason.MODEL_FILES_UNAVAILABLE, f"there is no file or folder {path}; {_SPELLINGS}")
    if sha256:
        raise StartupFault(Reason.BAD_SETTINGS, f"--sha256 is of one file, and {path} is a folder; name the file")
    return Located(entry=_entry_of(path), name=path.resolve().name or "model")


def _entry_of(folder: Path) -> Path:
    if (folder / MANIFEST_NAME).is_file():
        return _verified(folder)
    if (folder / DESCRIPTION).is_file():
        entry = folder / onnx_entry(_description(folder / DESCRIPTION), str(folder))
        if not entry.is_file():
            raise StartupFault(
                Reason.MODEL_FILES_UNAVAILABLE,
                f"the {DESCRIPTION} of {folder} names {entry.name}, which is not there; copy it there",
            )
        return entry
    found = sorted(folder.glob("*.onnx"))
    if len(found) != 1:
        there = ", ".join(path.name for path in found) or "none"
        raise StartupFault(
            Reason.MODEL_FILES_UNAVAILABLE,
            f"{folder} holds no {MANIFEST_NAME}, no {DESCRIPTION}, and not exactly one .onnx file ({there}); "
            "name the file",
        )
    return found[0]


def _verified(folder: Path) -> Path:
    """The entry of a folder as `fetch` leaves it, if its files are those of the manifest."""
    path = folder / MANIFEST_NAME
    try:
        manifest = ModelManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StartupFault(Reason.MODEL_FILES_UNAVAILABLE, f"cannot read {path}: {error}") from error
    for file in manifest.files:
        _expect_sha256(folder / FILES_FOLDER / file.path, file.sha256)
    return folder / FILES_FOLDER / manifest.entry


def _expect_sha256(path: Path, sha256: str) -> None:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise StartupFault(Reason.MODEL_FILES_UNAVAILABLE, f"cannot read {path}: {error.strerror}") from error
    if found != sha256:
        raise StartupFault(Reason.DIGEST_MISMATCH, f"{path} has sha256 {found}, not {sha256}; it is another file")


def _plain_file(word: str, sha256: str | None, screen: Screen, ca_bundle: Path | None) -> Located:
    url, _, fragment = word.partition("#")
    digest = _promised(word, fragment, sha256)
    path = PurePosixPath(unquote(urlsplit(url).path))
    if url.endswith("/") or not _is_file_name(path.name):
        raise StartupFault(Reason.INVALID_MODEL_URI, f"{word!r} names no file: {_SPELLINGS}")
    target = _place(url) / path.name
    download(_remote(url, digest, ca_bundle), target, sha256=digest, screen=screen)
    return Located(entry=target, name=path.stem)


def _is_file_name(name: str) -> bool:
    """Whether a file of that name stays in its folder."""
    try:
        return bool(_FILE_PATH.validate_python(name))
    except ValidationError:
        return False


def _remote(url: str, digest: str | None, ca_bundle: Path | None) -> Remote:
    # Each way into the network brings its own client: only the one that is used is loaded.
    address = urlsplit(url)
    if address.scheme == "s3":
        from loadline_serving.bucket import Bucket, BucketFile  # noqa: PLC0415

        return BucketFile(Bucket(address.netloc, ca_bundle=ca_bundle), unquote(address.path.lstrip("/")))
    from loadline_serving.web import Web, WebFile  # noqa: PLC0415

    if address.scheme == "http" and not digest and address.hostname not in _LOOPBACK:
        raise StartupFault(
            Reason.INVALID_MODEL_URI,
            f"{url} comes over http, which anybody on the way can change; use https, or give --sha256",
        )
    return WebFile(Web(ca_bundle=ca_bundle), url)


def _registered(word: str, sha256: str | None, screen: Screen, ca_bundle: Path | None) -> Located:
    from loadline_serving.mlflow_registry import Registry  # noqa: PLC0415

    try:
        reference = parse_model_uri(word, sha256)
    except ModelUriError as error:
        raise StartupFault(Reason.INVALID_MODEL_URI, str(error)) from error
    if isinstance(reference, PlainFile):
        raise TypeError(f"{word} was read as a plain file")
    registry = Registry(say=screen.say, ca_bundle=ca_bundle)
    version = registry.version(reference)
    title = f"version {version} of {reference.name!r}"
    folder = _place(f"{registry.url} {reference.name} {version}")
    # The description first: a model of another kind is refused before its files are read.
    files = sorted(registry.files(reference.name, version), key=lambda file: file.path != DESCRIPTION)
    if files[0].path != DESCRIPTION:
        raise StartupFault(
            Reason.NOT_SERVABLE, f"{title} has no {DESCRIPTION} among its files; log it with mlflow.onnx.log_model"
        )
    entry = ""
    for file in files:
        download(file.remote, folder / file.path, sha256=None, screen=screen)
        if file.path == DESCRIPTION:
            entry = onnx_entry(_description(folder / DESCRIPTION), title)
    if entry not in {file.path for file in files}:
        raise StartupFault(
            Reason.NOT_SERVABLE, f"the {DESCRIPTION} of {title} names {entry!r}, which is not among its files"
        )
    return Located(entry=folder / entry, name=reference.name, version=version)


def _description(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_DESCRIPTION_BYTES).decode(errors="replace")


def _promised(word: str, fragment: str, sha256: str | None) -> str | None:
    if fragment and not fragment.startswith(_FRAGMENT):
        raise StartupFault(Reason.INVALID_MODEL_URI, f"{word!r}: behind '#' only sha256=<64 hex digits> is known")
    promised = fragment.removeprefix(_FRAGMENT)
    if promised and sha256 and promised != sha256:
        raise StartupFault(Reason.BAD_SETTINGS, f"--sha256 {sha256} is not that of {word!r}; give one of them")
    return _digest(promised or sha256) if promised or sha256 else None


def _digest(sha256: str | None) -> str:
    if not sha256 or not _SHA256.fullmatch(sha256):
        raise StartupFault(
            Reason.BAD_SETTINGS, f"sha256 {sha256!r} is not 64 lower-case hex digits, as sha256sum prints them"
        )
    return sha256


def _place(address: str) -> Path:
    """A folder of its own for each address."""
    return cache_folder() / hashlib.sha256(address.encode()).hexdigest()[:32]


def _expect_external_files(entry: Path) -> None:
    try:
        missing = missing_files(entry, read_outline(entry))
    except NotProtobufError:
        return  # The runtime says what it is, or reads a format of its own.
    except OSError as error:
        raise StartupFault(Reason.MODEL_FILES_UNAVAILABLE, f"cannot read {entry}: {error.strerror}") from error
    if missing:
        raise StartupFault(
            Reason.MODEL_FILES_UNAVAILABLE,
            f"{entry.name} keeps weights in {', '.join(missing)}, which is not beside it in {entry.parent}; "
            "copy it there, or export the model as one file",
        )
