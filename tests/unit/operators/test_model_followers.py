"""Does every model get its answer, whatever another one does?"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from loadline_operators.model_sources import BucketOptions, ListedFile, Source
from loadline_operators.model_store import ModelStore, StoreOptions
from loadline_operators.planning import Resolution
from loadline_operators.registry import Registry
from loadline_operators.resolution import Resolver, ResolverOptions
from typing_extensions import override

OFTEN = ResolverOptions(poll_seconds=0.01, recheck_seconds=0.01, max_backoff_seconds=0.02)
WITHIN = 10


class Files:
    """A source in memory."""

    name = "the model"

    def __init__(self, **files: bytes) -> None:
        self.files = files

    async def listing(self) -> tuple[ListedFile, ...]:
        return tuple(ListedFile(path=path, size=len(content)) for path, content in sorted(self.files.items()))

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        yield self.files[path]


def onnx(content: bytes = b"a model") -> Files:
    return Files(MLmodel=b"flavors: {onnx: {data: model}}", model=content)


class Models(Registry):
    """Models of one version each, which an alias points to; a model that is an error raises it."""

    def __init__(self, **models: Files | Exception) -> None:
        self.name = "mlflow"
        self.models = models

    @override
    async def aliases(self, model: str) -> Mapping[str, str]:
        self._found(model)
        return {"champion": "1"}

    @override
    async def open(self, model: str, version: str) -> Source:
        return self._found(model)

    def _found(self, model: str) -> Files:
        found = self.models[model]
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class Asking:
    """A resolver at work over models in memory."""

    models: Models
    folder: Path
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Asking"]:
        self.resolver = Resolver(
            registry=self.models,
            store=ModelStore(StoreOptions(url=f"file://{self.folder}").open()),
            client=httpx.AsyncClient(),
            buckets=BucketOptions(),
            options=OFTEN,
            on_change=lambda _: self._changed.set(),
        )
        task = asyncio.create_task(self.resolver.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), "the resolver ended by itself"

    async def until(self, seen: Callable[[Resolution], bool], uri: str) -> Resolution:
        async with asyncio.timeout(WITHIN):
            while not seen(found := self.resolver.watch(uri, uri)):
                await self._changed.wait()
                self._changed.clear()
        return found


def is_resolved(found: Resolution) -> bool:
    return found.state == "resolved" and not found.stale


def is_a_fault(found: Resolution) -> bool:
    return found.reason == "InternalError"


@pytest.mark.parametrize("uri", ["models:/bad/1", "models:/bad@champion"])
async def test_an_unforeseen_error_of_one_model_is_said_and_tried_again_while_others_are_followed(
    uri: str, tmp_path: Path
) -> None:
    models = Models(bad=AttributeError("by a fault of the operator"), good=onnx())
    async with Asking(models, tmp_path).running() as asking:
        failed = await asking.until(is_a_fault, uri)
        other = await asking.until(is_resolved, "models:/good@champion")
        models.models["bad"] = onnx()
        mended = await asking.until(is_resolved, uri)
    assert (failed.state, "(AttributeError)" in failed.message) == ("pending", True)
    assert mended.digest == other.digest


async def test_an_unforeseen_error_leaves_a_model_that_was_found_as_it_was(tmp_path: Path) -> None:
    models = Models(digits=onnx())
    async with Asking(models, tmp_path).running() as asking:
        before = await asking.until(is_resolved, "models:/digits@champion")
        models.models["digits"] = RecursionError()
        after = await asking.until(is_a_fault, "models:/digits@champion")
    assert (after.state, after.stale, after.digest) == ("resolved", True, before.digest)


async def test_one_unreadable_description_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    models = Models(bad=Files(MLmodel=b"utc_time_created: !!timestamp x"), good=onnx())
    async with Asking(models, tmp_path).running() as asking:
        refused = await asking.until(lambda found: found.state == "failed", "models:/bad/1")
        await asking.until(is_resolved, "models:/good/1")
    assert refused.reason == "NotServable"


async def test_a_description_that_is_too_large_is_not_called_a_model_that_is(tmp_path: Path) -> None:
    models = Models(bad=Files(MLmodel=b" " * (1 << 20)))
    async with Asking(models, tmp_path).running() as asking:
        refused = await asking.until(lambda found: found.state == "failed", "models:/bad/1")
    assert (refused.reason, "MLmodel is larger" in refused.message) == ("NotServable", True)
