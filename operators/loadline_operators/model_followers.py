"""Where do a model's aliases point, which bytes do its versions have, and are those on the object store?

A follower looks, notes facts, waits, and looks again. It never ends by itself and never decides anything.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import httpx
import structlog
from loadline_contracts.model_files import ModelManifest
from loadline_contracts.model_uri import PlainFile
from typing_extensions import override

from loadline_operators.model_errors import FilesLostError, ModelError, TransientError, UnforeseenError
from loadline_operators.model_examination import choose_registered, examine_plain, examine_registered
from loadline_operators.model_facts import AliasFacts, ModelFacts
from loadline_operators.model_sources import BucketOptions, ListedFile, Source, open_plain_file
from loadline_operators.model_store import ModelStore
from loadline_operators.registry import Registry

log = structlog.get_logger(__name__)

_FILE_PINS = ("files", "sha256")


@dataclass(frozen=True, kw_only=True)
class ResolverOptions:
    """How often is looked, and how much is copied."""

    poll_seconds: float = 5
    """Time between two questions about where a model's aliases point, and between two looks at what failed."""
    recheck_seconds: float = 60
    """Time between two listings of a version's files."""
    rehash_seconds: float = 3600
    """Time after which a version's bytes are read again although their listing is the same."""
    max_backoff_seconds: float = 15
    """Longest wait between two attempts at something that does not answer."""
    max_model_bytes: int = 20 << 30
    questions_at_once: int = 8
    copies_at_once: int = 2


class Surroundings:
    """What every follower works with."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: ModelStore,
        client: httpx.AsyncClient,
        buckets: BucketOptions,
        options: ResolverOptions,
    ) -> None:
        self.registry = registry
        self.store = store
        self.client = client
        self.buckets = buckets
        self.options = options
        self.questions = asyncio.Semaphore(options.questions_at_once)
        self.copies = asyncio.Semaphore(options.copies_at_once)
        # Reading again what is known already never stands in the way of a model that waits to be served.
        self.rereads = asyncio.Semaphore(1)
        self._rng = random.Random()  # noqa: S311  # it spreads waiting times

    def pause(self, seconds: float, failures: int = 0) -> float:
        """The usual time, doubled with each failure up to the limit; spread, so that nobody marches in step."""
        longest = max(seconds, self.options.max_backoff_seconds)
        return float(min(longest, seconds * 2 ** min(failures, 10))) * self._rng.uniform(0.8, 1.0)


@dataclass(kw_only=True)
class AliasFollower:
    """Where do the aliases of one model point?"""

    name: str
    around: Surroundings
    changed: Callable[[], None]
    facts: AliasFacts = field(default_factory=AliasFacts)

    async def run(self) -> None:
        """Ask again and again."""
        failures = 0
        while True:
            found = await self._ask()
            if found != self.facts:
                self.facts = found
                self.changed()
            failures = failures + 1 if isinstance(found.error, TransientError) else 0
            await asyncio.sleep(self.around.pause(self.around.options.poll_seconds, failures))

    async def _ask(self) -> AliasFacts:
        try:
            async with self.around.questions:
                return AliasFacts(aliases=await self.around.registry.aliases(self.name))
        except TransientError as error:
            return AliasFacts(aliases=self.facts.aliases, error=error)
        except ModelError as error:
            return AliasFacts(error=error)
        except Exception as error:
            # The last line of defence: an unforeseen error of one model must not end the others.
            log.exception("Failed in an unforeseen way", model=self.name)
            return AliasFacts(aliases=self.facts.aliases, error=UnforeseenError(f"the aliases of {self.name}", error))


@dataclass(kw_only=True)
class _ModelFollower(ABC):
    """What following a version and following a plain file have in common."""

    around: Surroundings
    changed: Callable[[], None]
    facts: ModelFacts = field(default_factory=ModelFacts)

    async def run(self) -> None:
        """Bring the bytes to the store, then see to it that they stay."""
        failures = 0
        while True:
            error = await self._look()
            self._note(replace(self.facts, error=error, copying=""))
            failures = failures + 1 if isinstance(error, TransientError) else 0
            await asyncio.sleep(self.around.pause(self._usual_pause(error), failures))

    async def _look(self) -> ModelError | None:
        """Look once. The pin comes first: with it, pods start although the registry is down."""
        try:
            if not self.facts.digest:
                await self._read_pin()
            await self._look_at_bytes()
        except ModelError as error:
            return error
        except Exception as error:
            # The last line of defence: an unforeseen error of one model must not end the others.
            log.exception("Failed in an unforeseen way", model=self._title)
            return UnforeseenError(self._title, error)
        return None

    async def _read_pin(self) -> None:
        pinned = await self.around.store.pinned(*self._pin_name)
        if pinned and await self.around.store.has(pinned):
            self._note(replace(self.facts, digest=pinned))

    def _note_copying(self, what: str) -> None:
        # A later attempt says why the earlier one failed until it has succeeded: a status that flickers tells nothing.
        if not self.facts.digest and self.facts.error is None:
            self._note(replace(self.facts, copying=what))

    def _note(self, facts: ModelFacts) -> None:
        if facts != self.facts:
            self.facts = facts
            self.changed()

    @property
    @abstractmethod
    def _title(self) -> str:
        """What it is called in messages."""

    @property
    @abstractmethod
    def _pin_name(self) -> tuple[str, str, str]:
        """Under which registry, model and version the digest is pinned."""

    @abstractmethod
    def _usual_pause(self, error: ModelError | None) -> float:
        """How long to wait after such a look."""

    @abstractmethod
    async def _look_at_bytes(self) -> None:
        """See that the store has the right bytes."""


@dataclass(kw_only=True)
class VersionFollower(_ModelFollower):
    """Which bytes does one registered version have, and are they on the store?"""

    name: str
    version: str
    facts: ModelFacts = field(default_factory=lambda: ModelFacts(changed_digest=None))
    _listing: tuple[ListedFile, ...] = ()
    _reread_at: float = 0

    @property
    @override
    def _title(self) -> str:
        return f"version {self.version} of model {self.name!r}"

    @property
    @override
    def _pin_name(self) -> tuple[str, str, str]:
        return (self.around.registry.name, self.name, self.version)

    @override
    def _usual_pause(self, error: ModelError | None) -> float:
        return self.around.options.recheck_seconds if error is None else self.around.options.poll_seconds

    @override
    async def _look_at_bytes(self) -> None:
        async with self.around.questions:
            source = await self.around.registry.open(self.name, self.version)
            listing = await source.listing()
        if not self.facts.digest or not await self.around.store.has(self.facts.digest):
            await self._read(source, listing, turn=self.around.copies)
        elif listing != self._listing or _now() >= self._reread_at:
            await self._read(source, listing, turn=self.around.rereads)

    async def _read(self, source: Source, listing: tuple[ListedFile, ...], *, turn: asyncio.Semaphore) -> None:
        limit = self.around.options.max_model_bytes
        async with self.around.questions:
            chosen = await choose_registered(source, listing, max_bytes=limit)
        self._note_copying(f"copying {len(chosen.files)} files, {chosen.size} bytes")
        async with turn:
            await self._compare(source, listing, await examine_registered(source, chosen, max_bytes=limit))

    async def _compare(self, source: Source, listing: tuple[ListedFile, ...], found: ModelManifest) -> None:
        stands = await self._pin(found, source)
        self._listing = listing
        self._reread_at = _now() + self.around.options.rehash_seconds
        changed = found.digest if found.digest != stands else ""
        if changed and changed != self.facts.changed_digest:
            log.warning("Found other bytes under a version", model=self.name, version=self.version, digest=changed)
        self._note(replace(self.facts, digest=stands, changed_digest=changed))

    async def _pin(self, found: ModelManifest, source: Source) -> str:
        """The digest that stands for the version, with its files on the store."""
        store = self.around.store
        stands = await store.pinned(*self._pin_name)
        if stands in {None, found.digest}:
            await store.write(found, source)
            stands = await store.pin(*self._pin_name, found.digest)
        if stands is None or (stands != found.digest and not await store.has(stands)):
            raise FilesLostError(self.name, self.version, stands or "no digest")
        return stands


@dataclass(kw_only=True)
class FileFollower(_ModelFollower):
    """Is one plain file on the store?"""

    file: PlainFile

    @property
    @override
    def _title(self) -> str:
        return self.file.uri

    @property
    @override
    def _pin_name(self) -> tuple[str, str, str]:
        # By its sha256, so that an address that answered once need not answer again.
        return (*_FILE_PINS, self.file.sha256)

    @override
    def _usual_pause(self, error: ModelError | None) -> float:
        options = self.around.options
        if error is None:
            return options.recheck_seconds
        # A wrong file is not fetched over and over: what changes next is likely the spec.
        return options.poll_seconds if isinstance(error, TransientError) else options.rehash_seconds

    @override
    async def _look_at_bytes(self) -> None:
        if self.facts.digest and await self.around.store.has(self.facts.digest):
            return
        async with self.around.copies:
            source = open_plain_file(self.file, client=self.around.client, buckets=self.around.buckets)
            self._note_copying(f"copying {self.file.uri}")
            found = await examine_plain(source, self.file, max_bytes=self.around.options.max_model_bytes)
            await self.around.store.write(found, source)
            await self.around.store.pin(*self._pin_name, found.digest)
        self._note(replace(self.facts, digest=found.digest))


def _now() -> float:
    return asyncio.get_running_loop().time()
