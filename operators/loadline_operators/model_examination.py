"""Which of a model's files are served, and what is their digest?

Whatever MLflow writes beside an ONNX model for its own use stays behind: it names the run, so that the same bytes
would never be the same model twice. The rest is kept, external tensor data included, which the ONNX file finds by path.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import yaml
from loadline_contracts.model_files import ModelFile, ModelManifest
from loadline_contracts.model_uri import PLAIN_FILE_ENTRY, PlainFile
from pydantic import ValidationError

from loadline_operators.model_errors import DigestMismatchError, ModelTooLargeError, NotServableError
from loadline_operators.model_sources import ListedFile, Source

DESCRIPTION = "MLmodel"
_MAX_DESCRIPTION_BYTES = 256 << 10
_MAX_DEPTH = 50
_BESIDE_THE_MODEL = {
    DESCRIPTION,
    "conda.yaml",
    "python_env.yaml",
    "registered_model_meta",
    "requirements.txt",
    "serving_input_example.json",
}
_FOLDERS_BESIDE_THE_MODEL = {"metadata", "code"}
# It makes texts, lists and mappings of whatever stands there: no tag, no date and no number can make it fail.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_LOG_IT = "Convert it to ONNX and log it with mlflow.onnx.log_model."


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The files of a registered version that serving needs, unread."""

    entry: str
    """The path of the ONNX file among them."""
    files: tuple[ListedFile, ...]

    @property
    def size(self) -> int:
        """How many bytes they are, as far as the listing tells."""
        return sum(file.size or 0 for file in self.files)


async def choose_registered(source: Source, listing: Sequence[ListedFile], *, max_bytes: int) -> Choice:
    """Find what serving needs, and refuse what it cannot serve before it is read."""
    if not any(file.path == DESCRIPTION for file in listing):
        raise NotServableError(source.name, f"there is no {DESCRIPTION} among its files", _LOG_IT)
    entry, files = choose_files(await _description(source), listing, name=source.name)
    chosen = Choice(entry=entry, files=files)
    _refuse_too_large(source.name, chosen.size, max_bytes)
    return chosen


async def examine_registered(source: Source, chosen: Choice, *, max_bytes: int) -> ModelManifest:
    """Read and hash the files of a registered version that serving needs."""
    files = [await _hashed(source, file.path, max_bytes=max_bytes) for file in chosen.files]
    return _manifest(source, chosen.entry, files)


async def examine_plain(source: Source, file: PlainFile, *, max_bytes: int) -> ModelManifest:
    """Read a plain file, and refuse it unless it is the one that was promised."""
    for listed in await source.listing():
        _refuse_too_large(source.name, listed.size or 0, max_bytes)
    found = await _hashed(source, PLAIN_FILE_ENTRY, max_bytes=max_bytes)
    if found.sha256 != file.sha256:
        await _refuse_web_page(source)
        raise DigestMismatchError(source.name, file.sha256, found.sha256)
    if found.size == 0:
        raise NotServableError(source.name, "it is empty", "Put the ONNX file there.")
    return _manifest(source, PLAIN_FILE_ENTRY, [found])


def choose_files(description: str, listing: Sequence[ListedFile], *, name: str) -> tuple[str, tuple[ListedFile, ...]]:
    """The path of the ONNX file that an MLmodel file names, and all files that it may need."""
    model = _parsed(description, name)
    flavors = model.get("flavors")
    onnx = flavors.get("onnx") if isinstance(flavors, dict) else None
    if not isinstance(onnx, dict):
        known = ", ".join(sorted(map(str, flavors))) if isinstance(flavors, dict) and flavors else "none"
        raise NotServableError(name, f"it holds no ONNX model (its flavors: {known})", _LOG_IT)
    entry = onnx.get("data")
    if not isinstance(entry, str):
        # Not quoted: a few aliases are enough to make its text larger than the memory.
        raise NotServableError(name, f"its {DESCRIPTION} names no file as the ONNX model", "Log it again.")
    if entry not in {file.path for file in listing}:
        raise NotServableError(
            name, f"its {DESCRIPTION} names {entry!r}, which is not among its files", "Log it again."
        )
    beside = _BESIDE_THE_MODEL | _input_examples(model)
    return entry, tuple(file for file in listing if file.path not in beside and not _in_folder_beside(file.path))


def _parsed(description: str, name: str) -> dict[str, Any]:
    try:
        _refuse_deep(description, name)
        model = yaml.load(description, Loader=_LOADER)  # noqa: S506  # it makes no objects
    except yaml.YAMLError as error:
        raise NotServableError(name, f"its {DESCRIPTION} is not YAML", "Log it again.") from error
    if not isinstance(model, dict):
        raise NotServableError(name, f"its {DESCRIPTION} is no mapping", "Log it again.")
    return model


def _refuse_deep(description: str, name: str) -> None:
    """Refuse what would exhaust the stack: libyaml ends the whole process there, with every other model."""
    depth = 0
    for event in yaml.parse(description, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise NotServableError(
                name, f"its {DESCRIPTION} is nested deeper than {_MAX_DEPTH} levels", "Log it again."
            )


def _input_examples(model: dict[str, Any]) -> set[str]:
    example = model.get("saved_input_example_info")
    path = example.get("artifact_path") if isinstance(example, dict) else None
    return {path} if isinstance(path, str) else set()


def _in_folder_beside(path: str) -> bool:
    folder, separator, _ = path.partition("/")
    return bool(separator) and folder in _FOLDERS_BESIDE_THE_MODEL


async def _description(source: Source) -> str:
    text = bytearray()
    async with aclosing(source.read(DESCRIPTION)) as pieces:
        async for piece in pieces:
            text += piece
            if len(text) > _MAX_DESCRIPTION_BYTES:
                why = f"its {DESCRIPTION} is larger than {_MAX_DESCRIPTION_BYTES} bytes"
                raise NotServableError(source.name, why, "Log it again without what makes it so large.")
    return text.decode(errors="replace")


async def _hashed(source: Source, path: str, *, max_bytes: int) -> ModelFile:
    digest, size = hashlib.sha256(), 0
    async with aclosing(source.read(path)) as pieces:
        async for piece in pieces:
            await asyncio.to_thread(digest.update, piece)
            size += len(piece)
            _refuse_too_large(source.name, size, max_bytes)
    try:
        return ModelFile(path=path, size=size, sha256=digest.hexdigest())
    except ValidationError as error:
        raise NotServableError(source.name, _sentence(error), "Rename the file and log it again.") from error


async def _refuse_web_page(source: Source) -> None:
    async with aclosing(source.read(PLAIN_FILE_ENTRY)) as pieces:
        async for piece in pieces:
            if piece.lstrip().startswith(b"<"):
                raise NotServableError(
                    source.name, "a web page comes instead of the file", "Use the address that the file itself has."
                )
            return


def _refuse_too_large(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise ModelTooLargeError(name, size, limit)


def _manifest(source: Source, entry: str, files: Sequence[ModelFile]) -> ModelManifest:
    try:
        return ModelManifest(entry=entry, files=tuple(files))
    except ValidationError as error:
        raise NotServableError(source.name, _sentence(error), "Log it again.") from error


def _sentence(error: ValidationError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ")
