"""Models as files: in a serving pod's folder, and on an object store that is a folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from loadline_contracts.model_files import (
    FILES_FOLDER,
    MANIFEST_NAME,
    ModelFile,
    ModelManifest,
    file_key,
    manifest_key,
)


def manifest_of(files: Mapping[str, bytes], entry: str = "model.onnx") -> ModelManifest:
    """The manifest of these files."""
    return ModelManifest(
        entry=entry,
        files=tuple(
            ModelFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())
            for path, data in files.items()
        ),
    )


def put_in_pod(folder: Path, files: Mapping[str, bytes]) -> ModelManifest:
    """Lay the files down as fetch does."""
    manifest = manifest_of(files)
    for path, data in files.items():
        _write(folder / FILES_FOLDER / path, data)
    _write(folder / MANIFEST_NAME, manifest.canonical_json())
    return manifest


def put_in_store(bucket: Path, files: Mapping[str, bytes]) -> ModelManifest:
    """Lay the files down as the operator does in a bucket."""
    manifest = manifest_of(files)
    for path, data in files.items():
        _write(bucket / file_key(manifest.digest, path), data)
    _write(bucket / manifest_key(manifest.digest), manifest.canonical_json())
    return manifest


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
