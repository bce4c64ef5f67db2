"""What is so around one ModelDeployment now?

Everything comes from what the watches have brought and from the shared reading of the Envoys; the API server is not
asked.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from loadline_contracts import labels
from loadline_contracts.modeldeployment import ModelDeployment

from loadline_operators.cache import GATEWAY_NAME, GATEWAY_NAMESPACE, Cache, Held, Key
from loadline_operators.cluster import Reference
from loadline_operators.envoy import ClusterKey, EnvoyPod, EnvoyReader, EnvoyView, Reading, RouteKey, envoys_of
from loadline_operators.planning import (
    ArmFact,
    AttachmentFact,
    DeploymentFact,
    EnvoyFact,
    Observed,
    PodFact,
    Resolution,
)
from loadline_operators.resolution import LastKnown

ROUTE_KINDS: Final = {"HTTPRoute": "httproute", "GRPCRoute": "grpcroute"}
POLICY_KINDS: Final = ("BackendTrafficPolicy", "SecurityPolicy")

_DECISIVE: Final = ("Accepted", "ResolvedRefs")
_RULES: Final = 4
"""More rules than a route of ours has."""
_BACKENDS: Final = 8
"""More backends than a rule of ours has."""

_STARTING: Final = {"PodInitializing", "ContainerCreating"}


class Resolutions(Protocol):
    """What is known of the models that are asked for."""

    def watch(self, holder: str, uri: str, sha256: str | None = None, *, last: LastKnown | None = None) -> Resolution:
        """Say that an object refers to a model, and what is known of it now."""
        ...

    def forget(self, holder: str) -> None:
        """Say that an object is gone."""
        ...

    @property
    def files_problem(self) -> str:
        """Why the object store does not hand out files now; empty when it does."""
        ...


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """What came of earlier attempts to apply an object's children."""

    foreign: tuple[str, ...] = ()
    refused: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Gathers what one look needs."""

    cache: Cache
    envoys: EnvoyReader
    resolutions: Resolutions

    async def observe(
        self, key: Key, parent: ModelDeployment, refusals: Refusals, *, now: datetime, routes_written: float = -math.inf
    ) -> Observed:
        """The world around one ModelDeployment.

        `routes_written` is when its routes were last written, on the event loop's clock: what Envoys showed before says
        nothing of the weights that are wanted now, even where they are the same as earlier ones.
        """
        reading = await self.envoys.read(after=routes_written)
        # Nothing is awaited below: all facts are of one moment.
        own = [held for held in self.cache.owned(key) if _belongs(held, parent)]
        pods = [held for held in self.cache.owned(key) if held.reference.kind == "Pod"]
        return Observed(
            resolution=self._resolve(key, parent),
            deployments={fact.revision: fact for fact in map(_deployment, _of(own, "Deployment"))},
            pods=tuple(sorted((_pod(held, now=now) for held in pods), key=lambda pod: pod.name)),
            cordoned_nodes=frozenset(node for node in {held.node for held in pods} if self._is_cordoned(node)),
            envoys=envoy_facts(reading, self.envoys.pods(), namespace=key.namespace, routes=_route_names(own)),
            attachments=tuple(_attachments(own)),
            hostname_holder=hostname_holder(self.cache, key, parent),
            foreign=refusals.foreign,
            refused=refusals.refused or {},
            files_problem=self.resolutions.files_problem,
        )

    def _resolve(self, key: Key, parent: ModelDeployment) -> Resolution:
        model, before = parent.spec.model, parent.status.model
        known = before is not None and before.uri == model.uri and before.digest
        last = LastKnown(version=before.version, digest=before.digest) if before is not None and known else None
        return self.resolutions.watch(str(key), model.uri, model.sha256, last=last)

    def _is_cordoned(self, node: str) -> bool:
        held = self.cache.get(Reference(kind="Node", namespace="", name=node))
        return held is not None and bool(held.manifest()["spec"].get("unschedulable"))


def envoy_pods(cache: Cache, *, name: str, namespace: str, envoy_namespace: str) -> list[EnvoyPod]:
    """The Envoys of our gateway."""
    pods = (held.manifest() for held in cache.of_kind("Pod") if held.reference.namespace == envoy_namespace)
    ours = (pod for pod in pods if is_envoy_of(pod, name=name, namespace=namespace))
    return sorted(envoys_of(ours), key=lambda envoy: envoy.name)


def is_envoy_of(pod: Mapping[str, Any], *, name: str, namespace: str) -> bool:
    """Whether a pod is an Envoy of the gateway of that name."""
    own = pod["metadata"].get("labels", {})
    return bool(own.get(GATEWAY_NAME) == name and own.get(GATEWAY_NAMESPACE) == namespace)


def envoy_facts(
    reading: Reading, pods: Iterable[EnvoyPod], *, namespace: str, routes: frozenset[tuple[str, str]]
) -> tuple[EnvoyFact, ...]:
    """What every Envoy shows of some routes.

    An Envoy that is ready and was not read says nothing, so nothing can be acknowledged. One that ends and no longer
    answers has no say: its node may be gone for good.
    """
    facts = []
    for pod in pods:
        view = reading.views.get(pod.uid)
        if view is not None:
            facts.append(EnvoyFact(pod=pod.name, routes=_routes_of(view, namespace, routes)))
        elif pod.ready and not pod.terminating:
            facts.append(EnvoyFact(pod=pod.name, routes=None))
    return tuple(facts)


def _routes_of(view: EnvoyView, namespace: str, routes: frozenset[tuple[str, str]]) -> dict[str, dict[int, ArmFact]]:
    shown: dict[str, dict[int, ArmFact]] = {}
    for kind, name in routes:
        route = RouteKey(kind, namespace, name)
        if route in view.weights:
            shown[f"{kind}/{name}"] = _arms(view, route)
    return shown


def _arms(view: EnvoyView, route: RouteKey) -> dict[int, ArmFact]:
    weights = view.weights[route]
    clusters = [ClusterKey(route, rule, backend) for rule in range(_RULES) for backend in range(_BACKENDS)]
    known = [cluster for cluster in clusters if cluster in view.healthy]
    arms = {}
    for backend in sorted({*weights, *(cluster.backend for cluster in known)}):
        mine = [cluster for cluster in known if cluster.backend == backend]
        arms[backend] = ArmFact(
            weight=weights.get(backend, 0),
            healthy=min((view.healthy[cluster] for cluster in mine), default=0),
            active=sum(view.active.get(cluster, 0) for cluster in mine),
        )
    return arms


def hostname_holder(cache: Cache, key: Key, parent: ModelDeployment) -> str:
    """NAMESPACE/NAME of the older object that has the hostname which this one asks for; empty when it is ours."""
    wanted = parent.spec.routing.hostname
    if not wanted:
        return ""
    asking = [held.manifest()["metadata"] for held in cache.with_hostname(wanted)]
    if not asking:
        return ""
    oldest = min(asking, key=lambda each: (each["creationTimestamp"], each["namespace"], each["name"]))
    holder = Key(namespace=oldest["namespace"], name=oldest["name"])
    return "" if holder == key else str(holder)


def _belongs(held: Held, parent: ModelDeployment) -> bool:
    return held.owner_uid == parent.metadata.uid


def _of(held: Iterable[Held], kind: str) -> list[dict[str, Any]]:
    return [each.manifest() for each in held if each.reference.kind == kind]


def _route_names(own: Iterable[Held]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (ROUTE_KINDS[held.reference.kind], held.reference.name) for held in own if held.reference.kind in ROUTE_KINDS
    )


def _revision(manifest: Mapping[str, Any]) -> str:
    revision: str = manifest["metadata"].get("labels", {}).get(labels.REVISION, "")
    return revision


def _deployment(manifest: Mapping[str, Any]) -> DeploymentFact:
    status = manifest["status"]
    failures = [
        str(each.get("message", ""))
        for each in status["conditions"]
        if each["type"] == "ReplicaFailure" and each["status"] == "True"
    ]
    return DeploymentFact(
        revision=_revision(manifest),
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        failure=failures[0] if failures else "",
    )


def _pod(held: Held, *, now: datetime) -> PodFact:
    manifest = held.manifest()
    metadata, status = manifest["metadata"], manifest["status"]
    conditions = {each["type"]: each for each in status["conditions"]}
    containers = [*status["initContainerStatuses"], *status["containerStatuses"]]
    waiting = _first(containers, _waiting)
    ended = _first(reversed(containers), _ended)
    scheduled = conditions.get("PodScheduled", {})
    return PodFact(
        name=metadata["name"],
        revision=_revision(manifest),
        node=held.node,
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating="deletionTimestamp" in metadata,
        fetching=any("running" in each["state"] for each in status["initContainerStatuses"]),
        age=_age(metadata, now=now),
        unschedulable=str(scheduled.get("message", "")) if scheduled.get("reason") == "Unschedulable" else "",
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        terminated_reason=ended.get("reason", ""),
        termination_message=ended.get("message", ""),
        restarts=max((each.get("restartCount", 0) for each in containers), default=0),
    )


def _first(
    containers: Iterable[Mapping[str, Any]], look: Callable[[Mapping[str, Any]], Mapping[str, str] | None]
) -> Mapping[str, str]:
    return next((found for found in map(look, containers) if found), {})


def _waiting(container: Mapping[str, Any]) -> Mapping[str, str] | None:
    waiting: Mapping[str, str] = container["state"].get("waiting") or {}
    return None if waiting.get("reason", "") in _STARTING else waiting


def _ended(container: Mapping[str, Any]) -> Mapping[str, str] | None:
    for state in (container["state"], container["lastState"]):
        ended: Mapping[str, Any] = state.get("terminated") or {}
        if ended.get("exitCode"):
            return ended
    return None


def _age(metadata: Mapping[str, Any], *, now: datetime) -> timedelta:
    return max(timedelta(), now - datetime.fromisoformat(metadata["creationTimestamp"]))


def _attachments(own: Iterable[Held]) -> Iterable[AttachmentFact]:
    for held in sorted(own, key=lambda each: each.reference):
        kind = held.reference.kind
        if kind in ROUTE_KINDS or kind in POLICY_KINDS:
            manifest = held.manifest()
            said = manifest["status"]["parents" if kind in ROUTE_KINDS else "ancestors"]
            accepted, message = _verdict(said, generation=manifest["metadata"].get("generation", 0))
            yield AttachmentFact(kind=kind, name=held.reference.name, accepted=accepted, message=message)


def _verdict(said: Iterable[Mapping[str, Any]], *, generation: int) -> tuple[bool | None, str]:
    """Whether all controllers accept an object as it is now; `None` as long as one has not spoken of it."""
    conditions = [
        each
        for parent in said
        for each in parent["conditions"]
        if each["type"] in _DECISIVE and each.get("observedGeneration", generation) >= generation
    ]
    refused = [each for each in conditions if each["status"] == "False"]
    if refused:
        return False, str(refused[0].get("message", ""))
    return (True if any(each["type"] == "Accepted" for each in conditions) else None), ""
