"""How does a plan come true?

observe → plan → report → apply, always in this order and with nothing else in between: the status, which carries every
decision, is written before what follows from it, and only onto the object that was looked at. Whatever fails is caught
by its kind, said with the object's name, and tried again.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import structlog
from loadline_contracts.modeldeployment import Condition, ModelDeployment, ModelDeploymentStatus
from pydantic import ValidationError

from loadline_operators import matching
from loadline_operators.cache import Cache, Held, Key
from loadline_operators.cluster import KINDS, PROBE, Manifest, Reference, reference_of
from loadline_operators.errors import (
    ApiError,
    ConflictError,
    NamespaceEndsError,
    NotFoundError,
    NotLeaderError,
    RejectedError,
    UnavailableError,
)
from loadline_operators.modeldeployment.observe import ROUTE_KINDS, Observer, Refusals
from loadline_operators.planning import Plan, PlanSettings
from loadline_operators.telemetry import APPLIES_SKIPPED, RECONCILE_SECONDS, RECONCILES
from loadline_operators.work_queue import Again

UNWATCHED: Final = frozenset({"Secret"})
"""Kinds that the operator writes but may not read."""
REWRITE_SECONDS: Final = 1800.0
"""How long an unwatched child is taken to be as it was written."""
REFUSED_SECONDS: Final = 2.0
"""How soon a child that could not be made true is tried again while the plan waits for something anyway."""

_ALARMING: Final = {"Degraded": "True", "Serving": "False", "ModelResolved": "False", "DigestChanged": "True"}
_TOLD: Final = frozenset({"Ready", "Serving", "Degraded", "ModelResolved", "DigestChanged", "HostnameConflict"})
"""Conditions whose changes are worth an event; the others come and go with every step."""

log = structlog.get_logger(__name__)


class Api(Protocol):
    """What a reconciler asks of the API server."""

    async def get(self, reference: Reference) -> dict[str, Any]:
        """Read one object."""
        ...

    async def apply(self, manifest: Manifest, *, resource_version: str | None = None) -> dict[str, Any]:
        """Make an object as the manifest says."""
        ...

    async def probe(self, manifest: Manifest) -> dict[str, Any]:
        """Show an object that may be written but not read."""
        ...

    async def replace_status(self, reference: Reference, status: Manifest, *, resource_version: str) -> dict[str, Any]:
        """Write an object's whole status."""
        ...

    async def delete(self, reference: Reference, *, uid: str, resource_version: str) -> None:
        """Delete the object that was looked at."""
        ...

    async def create_event(
        self, regarding: Manifest, *, reason: str, note: str, warning: bool, action: str = "Reconcile"
    ) -> None:
        """Tell what happened to an object."""
        ...


class MakesPlans(Protocol):
    """The pure decision."""

    def __call__(self, parent: ModelDeployment, observed: Any, *, settings: PlanSettings, now: datetime) -> Plan:
        """Decide."""
        ...


@dataclass(kw_only=True)
class _Memory:
    """What is remembered of one object between looks; losing it costs a few requests and nothing else."""

    foreign: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    matched: dict[Reference, tuple[str, str]] = field(default_factory=dict)
    """Per child the version that was found to match, and the hash of what it matches."""
    written: dict[Reference, tuple[str, float]] = field(default_factory=dict)
    """Per unwatched child the hash of what was written, and when."""
    routes_written: float = -math.inf
    """When a route that Envoys showed already was last written, on the event loop's clock."""
    ends_with: str = ""
    """The uid of the object whose namespace is being deleted."""
    wrote: bool = False
    waits: bool = False
    """A child could not be made true now, for a cause that passes."""

    def refusals(self) -> Refusals:
        return Refusals(foreign=tuple(sorted(self.foreign)), refused=dict(sorted(self.refused.items())))


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(kw_only=True)
class Reconciler:
    """Makes ModelDeployments come true, one look at a time."""

    cache: Cache
    api: Api
    observer: Observer
    make_plan: MakesPlans
    settings: PlanSettings
    forget: Callable[[Key], None] = lambda _: None
    clock: Callable[[], datetime] = _now
    _memories: dict[Key, _Memory] = field(default_factory=dict)

    async def look(self, key: Key) -> Again:
        """Look at one object once; whatever goes wrong with it stays with it."""
        began = time.monotonic()
        result = "failed"
        try:
            again = await self._look(key)
            result = "done"
        except ConflictError as error:
            log.info("Looked at what had changed", object=str(key), error=str(error))
            result = "conflict"
            again = await self._refresh(key)
        except NotLeaderError as error:
            log.info("Left a look to the leader", object=str(key), error=str(error))
            result = "not_leader"
            again = Again()
        except NamespaceEndsError as error:
            # The object goes with its namespace: its deletion is the next that is heard of it.
            log.info("Left an object to its namespace's end", object=str(key), error=str(error))
            result = "namespace_ends"
            again = Again()
        except UnavailableError as error:
            log.warning("Got no answer", object=str(key), error=str(error))
            again = Again(failed=True, after=error.retry_after)
        except ApiError as error:
            log.warning("Was refused", object=str(key), error=str(error))
            again = Again(failed=True)
        except ValidationError:
            log.exception("Could not read the object", object=str(key))
            again = Again(failed=True)
        finally:
            RECONCILES.labels("ModelDeployment", result).inc()
            RECONCILE_SECONDS.labels("ModelDeployment").observe(time.monotonic() - began)
        return again

    async def _look(self, key: Key) -> Again:
        held = self.cache.get(key.reference)
        if held is None:
            self._forget(key)
            return Again()
        manifest = held.manifest()
        if "deletionTimestamp" in manifest["metadata"]:
            # Its children go with it, by their owner references.
            return Again()
        parent = ModelDeployment.model_validate(manifest)
        memory = self._memories.setdefault(key, _Memory())
        if memory.ends_with == parent.metadata.uid:
            # With its namespace, which takes its children one by one: none of them is made again.
            return Again()
        now = self.clock()
        before = memory.refusals()
        observed = await self.observer.observe(key, parent, before, now=now, routes_written=memory.routes_written)
        if self.cache.get(key.reference) is not held:
            # The Envoys took their time, and the object changed meanwhile.
            return Again(after=0.0)
        decided = self.make_plan(parent, observed, settings=self.settings, now=now)
        await self._report(key, held, parent, decided.status)
        await self._apply(key, parent, decided, memory)
        return _next_look(memory, decided, changed_refusals=memory.refusals() != before)

    async def _report(self, key: Key, held: Held, parent: ModelDeployment, status: ModelDeploymentStatus) -> None:
        """Write the status if it changed, onto the object that was looked at, and tell of what turned."""
        if status == parent.status:
            return
        written = await self.api.replace_status(
            key.reference,
            status.model_dump(mode="json", by_alias=True, exclude_none=True),
            resource_version=held.resource_version,
        )
        self.cache.put(written)
        for condition in turned(parent.status.conditions, status.conditions):
            await self._tell(written, condition)

    async def _tell(self, regarding: Manifest, condition: Condition) -> None:
        warning = _ALARMING.get(condition.type) == condition.status
        note = f"{condition.type} is {condition.status}: {condition.message}"
        try:
            await self.api.create_event(regarding, reason=condition.reason, note=note, warning=warning)
        except ApiError as error:
            # An event is a courtesy: the condition stands in the status.
            log.info("Could not post an event", object=regarding["metadata"]["name"], error=str(error))

    async def _apply(self, key: Key, parent: ModelDeployment, decided: Plan, memory: _Memory) -> None:
        memory.wrote = memory.waits = False
        own = {held.reference: held for held in self.cache.owned(key) if held.owner_uid == parent.metadata.uid}
        wanted = {reference_of(manifest) for manifest in decided.children}
        _keep_only(memory, {name_of(reference) for reference in wanted})
        unwanted = [
            held for name, held in sorted(own.items(), reverse=True) if name not in wanted and name.kind in _CHILDREN
        ]
        # A way in is closed before the policies that watch over it look elsewhere.
        await self._delete_children((held for held in unwanted if held.reference.kind in ROUTE_KINDS), memory)
        for together in (decided.foundation, decided.building):
            await self._apply_together(together, own, parent, memory)
        await self._delete_children((held for held in unwanted if held.reference.kind not in ROUTE_KINDS), memory)

    async def _apply_together(
        self, manifests: Sequence[Manifest], own: Mapping[Reference, Held], parent: ModelDeployment, memory: _Memory
    ) -> None:
        """Apply at the same time what does not stand on one another; none is left half way when another fails."""
        # What exists is kept in step even so: a weight must not wait for a disruption budget.
        may_create = not memory.waits
        due = []
        for manifest in map(matching.with_hash, manifests):
            reference = reference_of(manifest)
            held = own.get(reference)
            if held is not None or may_create:
                due.append(self._apply_child(reference, manifest, held, parent, memory))
        for failed in await asyncio.gather(*due, return_exceptions=True):
            if failed is not None:
                raise failed

    async def _apply_child(
        self,
        reference: Reference,
        manifest: dict[str, Any],
        held: Held | None,
        parent: ModelDeployment,
        memory: _Memory,
    ) -> None:
        if self._is_true(reference, manifest, held, memory):
            APPLIES_SKIPPED.labels(reference.kind).inc()
            return
        try:
            if held is None and not await self._name_is_free(reference, manifest, parent, memory):
                return
            applied = await self.api.apply(
                manifest, resource_version=held.resource_version if held is not None else None
            )
        except NamespaceEndsError:
            memory.ends_with = parent.metadata.uid
            raise
        except RejectedError as error:
            log.warning("Was refused a child", object=str(parent.metadata.name), child=str(reference), error=str(error))
            memory.refused[name_of(reference)] = error.message
            memory.waits = True
            return
        memory.wrote = True
        if reference.kind in ROUTE_KINDS and held is not None:
            memory.routes_written = asyncio.get_running_loop().time()
        memory.refused.pop(name_of(reference), None)
        if reference.kind in UNWATCHED:
            memory.written[reference] = (matching.hash_of(manifest), time.monotonic())
        else:
            # Whatever the API server made of it, this version is what the manifest comes to.
            memory.matched[reference] = (applied["metadata"]["resourceVersion"], matching.hash_of(manifest))
            self.cache.put(applied)
        log.info("Applied", object=f"{reference.namespace}/{parent.metadata.name}", child=str(reference))

    def _is_true(self, reference: Reference, manifest: dict[str, Any], held: Held | None, memory: _Memory) -> bool:
        """Whether a child is as wanted already; the comparison of one version with one manifest is made once."""
        wanted = matching.hash_of(manifest)
        if reference.kind in UNWATCHED:
            digest, at = memory.written.get(reference, ("", 0.0))
            return digest == wanted and time.monotonic() - at < REWRITE_SECONDS
        if held is None:
            return False
        found = (held.resource_version, wanted)
        if memory.matched.get(reference) == found:
            return True
        if not matching.is_as_wanted(manifest, held.manifest()):
            return False
        memory.matched[reference] = found
        return True

    async def _name_is_free(
        self, reference: Reference, manifest: Manifest, parent: ModelDeployment, memory: _Memory
    ) -> bool:
        """Whether a child's name is ours to use: what others own is never overwritten."""
        live = await self._live(reference, manifest)
        name = name_of(reference)
        owner = _owner_of(live) if live is not None else {}
        if live is None or owner.get("uid") == parent.metadata.uid:
            memory.foreign.discard(name)
            if live is not None and reference.kind not in UNWATCHED:
                # Ours, but the watch has not brought it yet: look again with it in view.
                self.cache.put(live)
                memory.waits = True
                return False
            return True
        memory.waits = True
        if owner.get("kind") == parent.kind and owner.get("name") == parent.metadata.name:
            # Left by an object of this very name that was deleted: the garbage collector takes it away.
            return False
        if name not in memory.foreign:
            log.warning("Found a name taken", object=parent.metadata.name, child=str(reference))
        memory.foreign.add(name)
        return False

    async def _live(self, reference: Reference, manifest: Manifest) -> Manifest | None:
        """The object of that name, if there is one."""
        if reference.kind in UNWATCHED:
            found = await self.api.probe(manifest)
            managers = {each.get("manager") for each in found["metadata"].get("managedFields", ())}
            return found if managers - {PROBE} else None
        try:
            return await self.api.get(reference)
        except NotFoundError:
            return None

    async def _delete_children(self, unwanted: Iterable[Held], memory: _Memory) -> None:
        for held in unwanted:
            await self._delete_child(held, memory)

    async def _delete_child(self, held: Held, memory: _Memory) -> None:
        try:
            await self.api.delete(held.reference, uid=held.uid, resource_version=held.resource_version)
        except NotFoundError:
            log.info("Found a child gone already", child=str(held.reference))
        else:
            log.info("Deleted", object=str(held.owner), child=str(held.reference))
        memory.wrote = True
        memory.matched.pop(held.reference, None)
        self.cache.remove(held.reference, held.uid)

    async def _refresh(self, key: Key) -> Again:
        """Read anew what the watch has not brought yet, so that the next look does not fail the same way."""
        stale = [key.reference, *(held.reference for held in self.cache.owned(key) if held.reference.kind in _CHILDREN)]
        try:
            for reference in stale:
                await self._reread(reference)
        except ApiError as error:
            log.warning("Could not look again", object=str(key), error=str(error))
        # Backing off, if only a little: two who write the same object must not chase each other.
        return Again(failed=True)

    async def _reread(self, reference: Reference) -> None:
        try:
            self.cache.put(await self.api.get(reference))
        except NotFoundError:
            held = self.cache.get(reference)
            if held is not None:
                self.cache.remove(reference, held.uid)

    def _forget(self, key: Key) -> None:
        if self._memories.pop(key, None) is not None:
            log.info("Forgot a deleted object", object=str(key))
        self.forget(key)


_CHILDREN: Final = frozenset(KINDS) - {"ModelDeployment", "Pod", "Node", "Lease", "Event"} - UNWATCHED


def name_of(reference: Reference) -> str:
    """How a child is named in status: its kind and its name."""
    return f"{reference.kind} {reference.name}"


def turned(before: Sequence[Condition], after: Sequence[Condition]) -> list[Condition]:
    """The conditions that are worth an event: those that turned, and alarms for another reason than before."""
    known = {condition.type: condition for condition in before}
    return [each for each in after if each.type in _TOLD and _is_news(known.get(each.type), each)]


def _is_news(before: Condition | None, after: Condition) -> bool:
    status = before.status if before else _QUIET.get(after.type, "Unknown")
    if status != after.status:
        return True
    return before is not None and before.reason != after.reason and _ALARMING.get(after.type) == after.status


_QUIET: Final = {
    "Degraded": "False",
    "DigestChanged": "False",
    "HostnameConflict": "False",
    "Ready": "False",
    "Serving": "False",
}
"""What a condition is taken to have been before it was first said: the start of an object is no news."""


def _next_look(memory: _Memory, decided: Plan, *, changed_refusals: bool) -> Again:
    if memory.wrote or changed_refusals:
        # What was written is in view now: see whether the plan wants more.
        return Again(after=0.0)
    if decided.requeue_after is None:
        return Again(failed=memory.waits)
    after = decided.requeue_after.total_seconds()
    return Again(after=max(after, REFUSED_SECONDS) if memory.waits else after)


def _keep_only(memory: _Memory, names: set[str]) -> None:
    memory.foreign &= names
    memory.refused = {name: words for name, words in memory.refused.items() if name in names}


def _owner_of(live: Manifest) -> Mapping[str, Any]:
    owners = live["metadata"].get("ownerReferences", ())
    return next((owner for owner in owners if owner.get("controller")), {})
