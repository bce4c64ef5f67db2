"""How does a test let a real resolver follow models that are in memory alone?"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from loadline_operators.model_sources import BucketOptions, ListedFile, Source
from loadline_operators.model_store import ModelStore, StoreOptions
from loadline_operators.planning import Resolution
from loadline_operators.registry import Registry
from loadline_operators.resolution import LastKnown, Resolver, ResolverOptions
from typing_extensions import override

OFTEN = ResolverOptions(poll_seconds=0.01, recheck_seconds=0.01, rehash_seconds=0.01, max_backoff_seconds=0.02)
WITHIN = 10


class Files:
    """A source in memory, which may take its time."""

    name = "the model"

    def __init__(self, *, at_once: bool = True, **files: bytes) -> None:
        self.files = files
        self.go_on = asyncio.Event()
        if at_once:
            self.go_on.set()

    async def listing(self) -> tuple[ListedFile, ...]:
        """All files."""
        return tuple(ListedFile(path=path, size=len(content)) for path, content in sorted(self.files.items()))

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one file; those of a model only when the test lets it go on."""
        # As with a real source, others see meanwhile what is known so far.
        await asyncio.sleep(0.001)
        if path != "MLmodel":
            await self.go_on.wait()
        yield self.files[path]


def onnx(content: bytes = b"a model", *, at_once: bool = True) -> Files:
    """A version as MLflow keeps it."""
    return Files(MLmodel=b"flavors: {onnx: {data: model}}", model=content, at_once=at_once)


class Models(Registry):
    """Models of one version each, which the alias champion points to; an error in a model's place is raised."""

    def __init__(self, **models: Files | Exception) -> None:
        self.name = "mlflow"
        self.versions: dict[tuple[str, str], Files | Exception] = {(name, "1"): it for name, it in models.items()}
        self.champions: dict[str, str | Exception] = dict.fromkeys(models, "1")

    def move(self, model: str, version: str, files: Files | Exception) -> None:
        """Register a version and let the alias point to it."""
        self.versions[model, version] = files
        self.champions[model] = version

    @override
    async def aliases(self, model: str) -> Mapping[str, str]:
        champion = self.champions.get(model)
        if isinstance(champion, Exception):
            raise champion
        return {"champion": champion} if champion else {}

    @override
    async def open(self, model: str, version: str) -> Source:
        found = self.versions[model, version]
        if isinstance(found, Exception):
            raise found
        return found


class Asking:
    """A resolver at work over models in memory and files of an https site."""

    def __init__(self, models: Models, folder: Path, site: Mapping[str, httpx.Response] | None = None) -> None:
        self._changed = asyncio.Event()
        self._resolver = Resolver(
            registry=models,
            store=ModelStore(StoreOptions(url=f"file://{folder}").open()),
            client=httpx.AsyncClient(transport=httpx.MockTransport(lambda request: (site or {})[str(request.url)])),
            buckets=BucketOptions(),
            options=OFTEN,
            on_change=lambda _: self._changed.set(),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Asking"]:
        """Run the resolver; it must not end by itself."""
        task = asyncio.create_task(self._resolver.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), "the resolver ended by itself"

    def watch(self, uri: str, sha256: str | None = None, *, last: LastKnown | None = None) -> Resolution:
        """What is known of a model now."""
        return self._resolver.watch(uri, uri, sha256, last=last)

    async def change(self) -> None:
        """Wait until some answer is another one."""
        await self._changed.wait()
        self._changed.clear()

    async def until(self, seen: Callable[[Resolution], bool], uri: str) -> Resolution:
        """Watch a model until the answer satisfies."""
        async with asyncio.timeout(WITHIN):
            while not seen(found := self.watch(uri)):
                await self.change()
        return found
