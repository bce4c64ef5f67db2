"""Which files are a model, and where do they lie on the object store?

A model is named by its digest: the sha256 of the canonical JSON of its manifest. Whoever writes a model puts
the files first and the manifest last, so a manifest that can be read speaks of files that are all there.
"""

import hashlib
import json
from pathlib import PurePosixPath
from typing import Annotated, Self
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MANIFEST_NAME = "manifest.json"
"""The manifest's name: below `models/<hex>/` on the object store, and in the serving pod's model folder."""
FILES_FOLDER = "files"
"""The folder beside the manifest, there and in the pod, that holds the files under their own paths."""

_MAX_PATH_BYTES = 512


def _safe_path(path: str) -> str:
    """Refuse a path that could leave its folder, or that no object store or file system holds unchanged."""
    parts = path.split("/")
    if not path.isprintable() or "\\" in path:
        raise ValueError(f"file path {path!r} holds a control character or a backslash")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"file path {path!r} is not plain and relative: it has an empty part, '.' or '..'")
    if len(path.encode()) > _MAX_PATH_BYTES:
        raise ValueError(f"file path {path!r} is longer than {_MAX_PATH_BYTES} bytes")
    return path


ModelDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A model's name for ever: `sha256:` and 64 hex digits."""
FilePath = Annotated[str, AfterValidator(_safe_path)]
"""A relative path with `/` between its parts that stays inside its folder."""


class ModelFile(BaseModel):
    """One file of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: FilePath
    """Where the file lies relative to the model's folder; external tensor data is found by this path."""
    size: Annotated[int, Field(ge=0)]
    """Its length in bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The hex sha256 of its bytes."""


class ModelManifest(BaseModel):
    """The files of a model, and which of them is opened first."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    entry: FilePath
    """The path of the ONNX file that the runtime opens."""
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]
    """Every file, the entry included. The order has no meaning."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        paths = [file.path for file in self.files]
        if len(set(paths)) != len(paths):
            raise ValueError("a path is listed twice in the manifest")
        if self.entry not in paths:
            raise ValueError(f"the entry {self.entry!r} is not among the files of the manifest")
        folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
        if both := folders.intersection(paths):
            raise ValueError(f"{min(both)!r} is a file and a folder in the manifest")
        return self

    def canonical_json(self) -> bytes:
        """The bytes that the digest is taken of: keys and files sorted, no white space, UTF-8."""
        files = [file.model_dump() for file in sorted(self.files, key=lambda file: file.path)]
        body = {"entry": self.entry, "files": files}
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def digest(self) -> str:
        """`sha256:` and the hex sha256 of the canonical JSON."""
        return f"sha256:{hashlib.sha256(self.canonical_json()).hexdigest()}"

    @property
    def size(self) -> int:
        """All files together, in bytes: what a pod needs room for."""
        return sum(file.size for file in self.files)


def manifest_key(digest: str) -> str:
    """The object-store key of a model's manifest."""
    return f"models/{_hex(digest)}/{MANIFEST_NAME}"


def file_key(digest: str, path: str) -> str:
    """The object-store key of one file of a model; characters that stores treat apart are percent-encoded."""
    return f"models/{_hex(digest)}/{FILES_FOLDER}/{quote(path, safe='/')}"


def pin_key(registry: str, model: str, version: str) -> str:
    """The key of the object that says, once and for all, which digest a registered version had first."""
    return "pins/" + "/".join(quote(part, safe="") for part in (registry, model, version)) + ".json"


class VersionPin(BaseModel):
    """What stands in a pin: bytes that change under the same version later have another digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: ModelDigest


def _hex(digest: str) -> str:
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm != "sha256" or not hexadecimal:
        raise ValueError(f"{digest!r} is no model digest: expected sha256:<64 hex digits>")
    return hexadecimal
