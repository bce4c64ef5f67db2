"""Which version and digest does each object's model have now, and who must hear that it changed?"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import httpx
import structlog
from loadline_contracts.model_uri import (
    ModelReference,
    ModelUriError,
    PlainFile,
    RegisteredAlias,
    RegisteredVersion,
    parse_model_uri,
)

from loadline_operators.model_errors import StoreUnavailableError
from loadline_operators.model_facts import NOT_ASKED_YET, AliasFacts, LastKnown, answer, short_sha256
from loadline_operators.model_followers import (
    AliasFollower,
    FileFollower,
    ResolverOptions,
    Surroundings,
    VersionFollower,
)
from loadline_operators.model_sources import BucketOptions
from loadline_operators.model_store import ModelStore
from loadline_operators.planning import Resolution
from loadline_operators.registry import Registry

log = structlog.get_logger(__name__)

__all__ = ["INVALID_URI", "LastKnown", "Resolver", "ResolverOptions"]

INVALID_URI = "InvalidModelUri"

_Follower = AliasFollower | VersionFollower | FileFollower


@dataclass(kw_only=True)
class _Interest:
    """What one object refers to, and what it was told."""

    reference: ModelReference
    last: LastKnown | None
    told: Resolution

    def tell(self, found: Resolution) -> None:
        """Note an answer. From the first one on, the object's status has no say any more."""
        self.told = found
        if found.reason != NOT_ASKED_YET:
            self.last = LastKnown(version=found.version, digest=found.digest, confirmed=True)


class _Topic:
    """One registered model, or one plain file: who asks for it, and who follows it."""

    def __init__(
        self, around: Surroundings, start: Callable[["_Topic", _Follower], None], tell: Callable[[str], None]
    ) -> None:
        self.interests: dict[str, _Interest] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._around = around
        self._start = start
        self._tell = tell
        self._aliases: AliasFollower | None = None
        self._versions: dict[str, VersionFollower] = {}
        self._file: FileFollower | None = None

    def watch(self, holder: str, reference: ModelReference, last: LastKnown | None) -> Resolution:
        """What is known for this reference; from now on the holder hears of changes."""
        interest = self.interests.get(holder)
        if interest is None or interest.reference != reference:
            found = self._answer(reference, last)
            interest = _Interest(reference=reference, last=last, told=found)
            interest.tell(found)
            self.interests[holder] = interest
            self.follow()
        return interest.told

    def forget(self, holder: str) -> None:
        """The holder asks no more."""
        del self.interests[holder]
        self.follow()

    def follow(self) -> None:
        """Follow exactly what the references of now lead to."""
        references = {interest.reference for interest in self.interests.values()}
        self._follow_aliases({it.name for it in references if isinstance(it, RegisteredAlias)})
        self._follow_versions({found for it in references if (found := self._version(it))})
        for file in references:
            if isinstance(file, PlainFile) and self._file is None:
                self._file = FileFollower(file=file, around=self._around, changed=self._changed)
        if self._file and not references:
            self._stop(self._file)
            self._file = None
        self.start()

    def start(self) -> None:
        """Let every follower run."""
        for follower in (self._aliases, self._file, *self._versions.values()):
            if follower is not None and id(follower) not in self.tasks:
                self._start(self, follower)

    def _follow_aliases(self, names: set[str]) -> None:
        for name in names:
            self._aliases = self._aliases or AliasFollower(name=name, around=self._around, changed=self._changed)
        if self._aliases and not names:
            self._stop(self._aliases)
            self._aliases = None

    def _follow_versions(self, wanted: set[tuple[str, str]]) -> None:
        for name, version in wanted:
            if version not in self._versions:
                self._versions[version] = VersionFollower(
                    name=name, version=version, around=self._around, changed=self._changed
                )
        for version in self._versions.keys() - {version for _, version in wanted}:
            self._stop(self._versions.pop(version))

    def _stop(self, follower: _Follower) -> None:
        if task := self.tasks.pop(id(follower), None):
            task.cancel()

    def _version(self, reference: ModelReference) -> tuple[str, str] | None:
        """The version that a reference leads to now, as far as the registry has said."""
        match reference:
            case RegisteredVersion():
                return (reference.name, reference.version)
            case RegisteredAlias():
                facts = self._aliases.facts if self._aliases else AliasFacts()
                version = (facts.aliases or {}).get(reference.alias)
                return (reference.name, version) if version else None
            case PlainFile():
                return None

    def _changed(self) -> None:
        """Follow where the facts lead now, and tell those whose answer is another one."""
        self.follow()
        for holder, interest in tuple(self.interests.items()):
            found = self._answer(interest.reference, interest.last)
            if found != interest.told:
                interest.tell(found)
                self._tell(holder)
                log.info(
                    "Resolved model anew",
                    object=holder,
                    uri=found.uri,
                    state=found.state,
                    version=found.version,
                    digest=found.digest,
                    reason=found.reason,
                )

    def _answer(self, reference: ModelReference, last: LastKnown | None) -> Resolution:
        aliases = self._aliases.facts if self._aliases else AliasFacts()
        models = {version: follower.facts for version, follower in self._versions.items()}
        if self._file:
            models[short_sha256(self._file.file.sha256)] = self._file.facts
        return answer(reference, aliases, models, last)


class Resolver:
    """Keeps the answer for every model that some object refers to.

    One question is asked per registered model and turn, however many objects refer to it.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        store: ModelStore,
        client: httpx.AsyncClient,
        buckets: BucketOptions,
        options: ResolverOptions,
        on_change: Callable[[str], None],
    ) -> None:
        self._around = Surroundings(registry=registry, store=store, client=client, buckets=buckets, options=options)
        self._on_change = on_change
        self._topics: dict[Hashable, _Topic] = {}
        self._topic_of: dict[str, Hashable] = {}
        self._group: asyncio.TaskGroup | None = None
        self._files_problem = ""

    @property
    def files_problem(self) -> str:
        """Why the object store does not hand out models' files now; empty when it does."""
        return self._files_problem

    async def run(self) -> None:
        """Follow all that is watched, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._watch_store(), name="object store")
                for topic in self._topics.values():
                    topic.start()
        finally:
            self._group = None
            for topic in self._topics.values():
                topic.tasks.clear()

    def watch(self, holder: str, uri: str, sha256: str | None = None, *, last: LastKnown | None = None) -> Resolution:
        """Say that an object refers to this model, and get what is known of it now.

        To be called at every look at the object: what it referred to before is forgotten, and `on_change(holder)` is
        called whenever the answer becomes another one. `last` is what the object's status says of the same URI; it
        counts until something newer is known.
        """
        try:
            reference = parse_model_uri(uri, sha256)
        except ModelUriError as error:
            self.forget(holder)
            return Resolution(state="failed", uri=uri, reason=INVALID_URI, message=f"{error}.")
        key = reference if isinstance(reference, PlainFile) else reference.name
        if self._topic_of.get(holder) != key:
            self.forget(holder)
            self._topic_of[holder] = key
        topic = self._topics.setdefault(key, _Topic(self._around, self._start, self._on_change))
        return topic.watch(holder, reference, last)

    def forget(self, holder: str) -> None:
        """Say that an object is gone."""
        if (key := self._topic_of.pop(holder, None)) is None:
            return
        topic = self._topics[key]
        topic.forget(holder)
        if not topic.interests:
            del self._topics[key]

    def _start(self, topic: _Topic, follower: _Follower) -> None:
        if self._group is not None:
            topic.tasks[id(follower)] = self._group.create_task(follower.run())

    async def _watch_store(self) -> None:
        while True:
            problem = await self._store_problem()
            if problem != self._files_problem:
                self._files_problem = problem
                log.warning("Object store answers otherwise", problem=problem)
                for holder in tuple(self._topic_of):
                    self._on_change(holder)
            await asyncio.sleep(self._around.pause(self._around.options.poll_seconds))

    async def _store_problem(self) -> str:
        try:
            await self._around.store.check()
        except StoreUnavailableError as error:
            return str(error)
        return ""
