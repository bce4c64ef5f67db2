"""How a test asks a resolver: watch a model, and wait for an answer that satisfies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from loadline_contracts.model_files import ModelManifest, file_key, manifest_key
from loadline_operators.model_sources import BucketOptions, https_client
from loadline_operators.model_store import ModelStore, StoreOptions
from loadline_operators.planning import Resolution
from loadline_operators.registry import Registry, RegistryOptions
from loadline_operators.resolution import LastKnown, Resolver, ResolverOptions

OFTEN = ResolverOptions(poll_seconds=0.2, recheck_seconds=0.2, max_backoff_seconds=0.5)
WITHIN = 20


@dataclass(kw_only=True)
class Resolving:
    """A resolver at work, what it told, and what it asked."""

    url: str
    store_folder: Path
    options: ResolverOptions = OFTEN
    ca_bundle: Path | None = None
    asked: list[str] = field(default_factory=list)
    """Paths of the questions that went to the registry."""
    told: list[str] = field(default_factory=list)
    """Objects that were told of a change."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _resolver: Resolver | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Resolving"]:
        """Run the resolver."""
        options = RegistryOptions(url=self.url)
        async with options.client() as asking, https_client(self.ca_bundle) as fetching:
            asking.event_hooks["request"].append(self._note_question)
            self._resolver = Resolver(
                registry=Registry(asking, options, BucketOptions()),
                store=ModelStore(StoreOptions(url=f"file://{self.store_folder}").open()),
                client=fetching,
                buckets=BucketOptions(),
                options=self.options,
                on_change=self._note_change,
            )
            task = asyncio.create_task(self._resolver.run())
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.result()

    async def until(
        self,
        seen: Callable[[Resolution], bool],
        uri: str,
        sha256: str | None = None,
        *,
        holder: str = "team/model",
        last: LastKnown | None = None,
    ) -> Resolution:
        """Watch a model until the answer satisfies."""
        found = self.watch(uri, sha256, holder=holder, last=last)
        try:
            async with asyncio.timeout(WITHIN):
                while not seen(found):
                    await self._changed.wait()
                    self._changed.clear()
                    found = self.watch(uri, sha256, holder=holder, last=last)
        except TimeoutError:
            raise AssertionError(f"not within {WITHIN} s; last seen: {found}") from None
        return found

    def watch(
        self, uri: str, sha256: str | None = None, *, holder: str = "team/model", last: LastKnown | None = None
    ) -> Resolution:
        """What is known of a model now."""
        assert self._resolver is not None
        return self._resolver.watch(holder, uri, sha256, last=last)

    @property
    def files_problem(self) -> str:
        """What the resolver says of the object store."""
        assert self._resolver is not None
        return self._resolver.files_problem

    def manifest(self, digest: str) -> ModelManifest:
        """The manifest on the store; its files must be there, byte for byte as long as it says."""
        manifest = ModelManifest.model_validate_json((self.store_folder / manifest_key(digest)).read_text())
        assert manifest.digest == digest
        for file in manifest.files:
            assert (self.store_folder / file_key(digest, file.path)).stat().st_size == file.size
        return manifest

    async def _note_question(self, request: httpx.Request) -> None:
        self.asked.append(urlsplit(str(request.url)).path)

    def _note_change(self, holder: str) -> None:
        self.told.append(holder)
        self._changed.set()


def resolving(url: str, store_folder: Path, **options: float) -> Resolving:
    """A resolver that looks often, with other options where a test wants them."""
    return Resolving(url=url, store_folder=store_folder, options=replace(OFTEN, **options))  # type: ignore[arg-type]  # mypy does not follow replace(**)


def is_resolved(found: Resolution) -> bool:
    """The model is on the store, and the registry said so just now."""
    return found.state == "resolved" and not found.stale


def is_stale(found: Resolution) -> bool:
    """An earlier answer stands, as the registry gives none."""
    return found.state == "resolved" and found.stale


def has_failed(found: Resolution) -> bool:
    """There is no answer until somebody changes something."""
    return found.state == "failed"
