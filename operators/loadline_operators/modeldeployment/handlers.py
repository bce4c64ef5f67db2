"""Which ModelDeployments does a change in the cluster concern?

Handlers keep the cache and wake the queue; they decide nothing and write nothing. Every kind has two: an index
function, which kopf calls for every object that it lists or sees change, and an event handler, which learns of
deletions. No event handler runs before every kind was listed once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import kopf
from loadline_contracts import labels

from loadline_operators.cache import Cache, Change, Held, Key
from loadline_operators.cluster import KINDS, Manifest, Reference
from loadline_operators.modeldeployment.observe import is_envoy_of
from loadline_operators.telemetry import WATCH_LAST_EVENT

OURS: Final = f"{labels.MANAGED_BY}={labels.MANAGED_BY_VALUE}"
SELECTORS: Final = {
    "ModelDeployment": "",
    "Deployment": OURS,
    "Service": OURS,
    "ServiceAccount": OURS,
    "PodDisruptionBudget": OURS,
    "NetworkPolicy": OURS,
    "HTTPRoute": OURS,
    "GRPCRoute": OURS,
    "BackendTrafficPolicy": OURS,
    "SecurityPolicy": OURS,
    # One selector for a kind: Envoy Gateway labels its Envoys with its own name.
    "Pod": f"{labels.MANAGED_BY} in (envoy-gateway,{labels.MANAGED_BY_VALUE})",
    "Node": "",
}
"""The kinds that are watched, and which objects of them."""


@dataclass(frozen=True, kw_only=True)
class Wakes:
    """Takes in changes, and wakes whom they concern."""

    cache: Cache
    wake: Callable[[Key], None]
    gateway_name: str
    gateway_namespace: str
    now: Callable[[], float]
    synced: Callable[[], None]
    """Called when everything was listed once."""
    relisted: Callable[[str], None]
    """Called when a kind was listed anew: deletions may have been missed."""

    def saw(self, body: Manifest) -> None:
        """Take in an object."""
        WATCH_LAST_EVENT.labels(body["kind"]).set(self.now())
        self.take(self.cache.put(body))

    def lost(self, reference: Reference, uid: str) -> None:
        """Take in that an object is gone."""
        WATCH_LAST_EVENT.labels(reference.kind).set(self.now())
        self.take(self.cache.remove(reference, uid))

    def take(self, change: Change) -> None:
        """Wake whom a change concerns."""
        if not change.concerns:
            return
        for key in {*self.concerned_by(change.before), *self.concerned_by(change.after)}:
            self.wake(key)

    def concerned_by(self, held: Held | None) -> Iterable[Key]:
        """The ModelDeployments that a look should be taken at when this object changes."""
        if held is None:
            return
        if held.owner is not None:
            yield held.owner
        match held.reference.kind:
            case "ModelDeployment":
                yield Key(namespace=held.reference.namespace, name=held.reference.name)
                if held.hostname:
                    yield from map(_key_of, self.cache.with_hostname(held.hostname))
            case "Node":
                pods = self.cache.on_node(held.reference.name)
                yield from (pod.owner for pod in pods if pod.owner is not None)
            case "Pod" if held.owner is None and self._is_our_envoy(held):
                yield from self.cache.parents()

    def _is_our_envoy(self, held: Held) -> bool:
        return is_envoy_of(held.manifest(), name=self.gateway_name, namespace=self.gateway_namespace)


def _key_of(held: Held) -> Key:
    return Key(namespace=held.reference.namespace, name=held.reference.name)


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    """Give kopf the handlers of every kind that is watched."""
    for name in SELECTORS:
        _register_kind(registry, name, wakes)


def _register_kind(registry: kopf.OperatorRegistry, name: str, wakes: Wakes) -> None:
    kind = KINDS[name]
    group, _, version = kind.api_version.rpartition("/")

    async def index(body: kopf.Body, **_: Any) -> None:
        wakes.saw(dict(body))

    async def event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 -- kopf passes it by this name
        wakes.synced()
        if type is None:
            wakes.relisted(name)
        if type == "DELETED":
            metadata = body["metadata"]
            reference = Reference(kind=name, namespace=metadata.get("namespace", ""), name=metadata["name"])
            wakes.lost(reference, metadata["uid"])

    kopf.index(group, version, kind.plural, id=f"index-{kind.plural}", registry=registry)(index)
    kopf.on.event(group, version, kind.plural, id=f"event-{kind.plural}", registry=registry)(event)


def configure(settings: kopf.OperatorSettings) -> None:
    """Set kopf to watch only, and to write nothing of its own."""
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    # For ever, with a ceiling: an API server that is away for an hour is no reason to end.
    settings.networking.error_backoffs = (0.5, 1, 2, 3, 5, 8, *([10] * 100_000))
    settings.persistence.finalizer = f"{labels.GROUP}/unused"
    settings.execution.default_backoff = 5
    # No limit on kopf's workers: with indices, fewer workers than objects would wait for one another for ever.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 1
    for name, selector in SELECTORS.items():
        if selector:
            kind = KINDS[name]
            group, _, version = kind.api_version.rpartition("/")
            settings.watching.label_selectors[group, version, kind.plural] = selector
