"""Do files, manifests and pins come onto the store so that whoever reads them can rely on them?"""

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from loadline_contracts.model_files import ModelFile, ModelManifest
from loadline_operators.model_errors import SourceUnavailableError, StoreUnavailableError
from loadline_operators.model_sources import ListedFile, said_by_store
from loadline_operators.model_store import ModelStore, StoreOptions
from obstore.store import AzureStore

FIRST, SECOND = ("sha256:" + digit * 64 for digit in "12")
PIECE = 1 << 20


class Bytes:
    """A source in memory."""

    name = "the source"

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    async def listing(self) -> tuple[ListedFile, ...]:
        return tuple(ListedFile(path=path, size=len(content)) for path, content in self.files.items())

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        content = self.files[path]
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]


FILES = {"model.onnx": b"a model", "weights/part one.data": b"x" * (9 << 20)}


def manifest_of(files: dict[str, bytes]) -> ModelManifest:
    listed = [
        ModelFile(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    ]
    return ModelManifest(entry="model.onnx", files=tuple(listed))


def contents(folder: Path) -> list[bytes]:
    return [found.read_bytes() for found in folder.rglob("*") if found.is_file()]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(StoreOptions(url=f"file://{tmp_path}").open())


async def test_a_model_is_there_once_its_files_and_its_manifest_are(store: ModelStore, tmp_path: Path) -> None:
    manifest = manifest_of(FILES)
    before = await store.has(manifest.digest)
    await store.write(manifest, Bytes(FILES))
    assert (before, await store.has(manifest.digest)) == (False, True)
    assert sorted(contents(tmp_path)) == sorted([*FILES.values(), manifest.canonical_json()])


async def test_other_bytes_than_those_of_the_first_reading_never_become_a_model(
    store: ModelStore, tmp_path: Path
) -> None:
    manifest = manifest_of(FILES)
    with pytest.raises(SourceUnavailableError, match="changed while they were copied"):
        await store.write(manifest, Bytes(FILES | {"weights/part one.data": b"y" * (9 << 20)}))
    assert not await store.has(manifest.digest)
    assert contents(tmp_path) == [FILES["model.onnx"]]


async def test_a_model_that_is_there_is_not_read_again(store: ModelStore) -> None:
    manifest = manifest_of(FILES)
    await store.write(manifest, Bytes(FILES))
    await store.write(manifest, Bytes({}))


async def test_the_first_pin_stands(store: ModelStore) -> None:
    assert await store.pinned("mlflow", "a model", "1") is None
    assert await store.pin("mlflow", "a model", "1", FIRST) == FIRST
    assert await store.pin("mlflow", "a model", "1", SECOND) == FIRST
    assert await store.pinned("mlflow", "a model", "1") == FIRST
    assert await store.pinned("mlflow", "a model", "2") is None


async def test_a_store_that_nobody_reaches_says_so_in_the_same_words_each_time() -> None:
    store = ModelStore(StoreOptions(url="s3://models", endpoint="http://127.0.0.1:1").open())
    said = set()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError) as refused:
            await store.check()
        said.add(str(refused.value))
    assert len(said) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "Generic S3 error: GET http://store/ in 14.7ms - Server returned non-2xx status code: 403 Forbidden: "
            "<Error><Code>SignatureDoesNotMatch</Code></Error>",
            "403 Forbidden SignatureDoesNotMatch",
            id="an answer",
        ),
        pytest.param(
            "Generic S3 error: GET http://store/ in 1.2s - connection refused\nmore", "connection refused", id="none"
        ),
        pytest.param("", "ValueError", id="no words"),
    ],
)
def test_what_a_store_says_is_shortened_to_what_stays_the_same(text: str, said: str) -> None:
    assert said_by_store(ValueError(text)) == said


def test_a_container_of_azure_is_named_with_its_account() -> None:
    opened = StoreOptions(url="abfss://models@account.dfs.core.windows.net/loadline").open()
    assert isinstance(opened, AzureStore)
    assert (opened.prefix, opened.config.get("account_name")) == ("loadline", "account")
