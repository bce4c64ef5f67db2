"""What did the API server last say of each object?

Of every object only what the operator reads is kept, as compact JSON: a thousand are a few megabytes. Answers to
our own writes are put in too, so that the next look sees them before the watch does; an older version never takes the
place of a newer one.
"""

import json
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadline_contracts import labels
from typing_extensions import override

from loadline_operators.cluster import Manifest, Reference
from loadline_operators.telemetry import OBJECTS

PARENT: Final = "ModelDeployment"
GATEWAY_NAME: Final = "gateway.envoyproxy.io/owning-gateway-name"
GATEWAY_NAMESPACE: Final = "gateway.envoyproxy.io/owning-gateway-namespace"

_REMEMBERED_DELETIONS = 10_000
_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "generation",
    "labels",
    "annotations",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
)


@dataclass(frozen=True, kw_only=True, order=True)
class Key:
    """The namespace and name of a ModelDeployment."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def reference(self) -> Reference:
        """The name of the object."""
        return Reference(kind=PARENT, namespace=self.namespace, name=self.name)


@dataclass(frozen=True, kw_only=True)
class Held:
    """One object as it was last seen."""

    reference: Reference
    uid: str
    resource_version: str
    owner: Key | None
    """The ModelDeployment whose label the object carries."""
    owner_uid: str
    """The uid of the object that controls this one."""
    node: str
    hostname: str
    concern: bytes
    """What a look depends on; the status of a ModelDeployment, which looks write themselves, is left out."""
    content: bytes

    def manifest(self) -> dict[str, Any]:
        """The object's kept fields."""
        body: dict[str, Any] = json.loads(self.content)
        body["metadata"]["resourceVersion"] = self.resource_version
        return body


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a new version of an object means for looks at ModelDeployments."""

    before: Held | None
    after: Held | None

    @property
    def concerns(self) -> bool:
        """Whether anything changed that a look depends on."""
        return (self.before.concern if self.before else None) != (self.after.concern if self.after else None)


def project(body: Manifest) -> dict[str, Any]:
    """The fields of an object that the operator reads."""
    metadata = body["metadata"]
    kept: dict[str, Any] = {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": {name: metadata[name] for name in _METADATA if name in metadata},
    }
    reduce = _REDUCERS.get(body["kind"])
    if reduce is not None:
        kept.update(reduce(body))
        return kept
    kept.update(
        {name: value for name, value in body.items() if name not in {"apiVersion", "kind", "metadata", "status"}}
    )
    return kept


def _reduce_pod(body: Manifest) -> dict[str, Any]:
    status = body.get("status", {})
    conditions = [
        _pick(condition, "type", "status", "reason", "message")
        for condition in status.get("conditions", ())
        if condition["type"] in {"Ready", "PodScheduled"}
    ]
    kept = {**_pick(status, "phase", "podIP", "reason", "message"), "conditions": conditions}
    for field in ("initContainerStatuses", "containerStatuses"):
        kept[field] = [_reduce_container(container) for container in status.get(field) or ()]
    return {"spec": _pick(body.get("spec", {}), "nodeName"), "status": kept}


def _reduce_container(container: Manifest) -> dict[str, Any]:
    return {
        **_pick(container, "name", "ready", "restartCount"),
        "state": _reduce_state(container.get("state") or {}),
        "lastState": _reduce_state(container.get("lastState") or {}),
    }


def _reduce_state(state: Manifest) -> dict[str, Any]:
    return {kind: _pick(detail, "reason", "message", "exitCode") for kind, detail in state.items()}


def _reduce_node(body: Manifest) -> dict[str, Any]:
    return {"metadata": _pick(body["metadata"], "name", "uid"), "spec": _pick(body.get("spec", {}), "unschedulable")}


def _reduce_deployment(body: Manifest) -> dict[str, Any]:
    status = body.get("status", {})
    conditions = [_pick(each, "type", "status", "reason", "message") for each in status.get("conditions") or ()]
    counts = _pick(status, "observedGeneration", "replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
    return {"spec": body.get("spec", {}), "status": {**counts, "conditions": conditions}}


def _reduce_attached(body: Manifest) -> dict[str, Any]:
    """Reduce a route or a policy: what its controllers say, without the times when they said it."""
    status = body.get("status", {})
    kept: dict[str, Any] = {}
    for field, referred in (("parents", "parentRef"), ("ancestors", "ancestorRef")):
        kept[field] = [
            {
                **_pick(said, "controllerName", referred),
                "conditions": [
                    _pick(condition, "type", "status", "reason", "message", "observedGeneration")
                    for condition in said.get("conditions") or ()
                ],
            }
            for said in status.get(field) or ()
        ]
    return {"spec": body.get("spec", {}), "status": kept}


def _reduce_parent(body: Manifest) -> dict[str, Any]:
    return {"spec": body.get("spec", {}), "status": body.get("status", {})}


_REDUCERS: Final[Mapping[str, Callable[[Manifest], dict[str, Any]]]] = {
    "Pod": _reduce_pod,
    "Node": _reduce_node,
    "Deployment": _reduce_deployment,
    "HTTPRoute": _reduce_attached,
    "GRPCRoute": _reduce_attached,
    "BackendTrafficPolicy": _reduce_attached,
    "SecurityPolicy": _reduce_attached,
    PARENT: _reduce_parent,
}


def _pick(source: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: source[name] for name in names if name in source}


def _bytes(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def hold(body: Manifest) -> Held:
    """Keep an object as the API server shows it."""
    kept = project(body)
    metadata = body["metadata"]
    namespace = metadata.get("namespace", "")
    owner = metadata.get("labels", {}).get(labels.MODEL_DEPLOYMENT)
    controllers = [each["uid"] for each in metadata.get("ownerReferences", ()) if each.get("controller")]
    concern = {name: value for name, value in kept.items() if body["kind"] != PARENT or name != "status"}
    spec = body.get("spec", {})
    return Held(
        reference=Reference(kind=body["kind"], namespace=namespace, name=metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner=Key(namespace=namespace, name=owner) if owner else None,
        owner_uid=controllers[0] if controllers else "",
        node=spec.get("nodeName", "") if body["kind"] == "Pod" else "",
        hostname=(spec.get("routing") or {}).get("hostname") or "" if body["kind"] == PARENT else "",
        concern=_bytes(concern),
        content=_bytes(kept),
    )


def _is_older(version: str, other: str) -> bool:
    # The API server's versions of one resource are numbers that grow (stated since Kubernetes 1.35).
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)


class Cache:
    """Every object that looks depend on, by name and by what looks ask for. For the event loop only."""

    def __init__(self) -> None:
        self._held: dict[Reference, Held] = {}
        self._kinds: defaultdict[str, dict[Reference, Held]] = defaultdict(dict)
        self._owned: defaultdict[Key, dict[Reference, Held]] = defaultdict(dict)
        self._on_node: defaultdict[str, dict[Reference, Held]] = defaultdict(dict)
        self._hostnames: defaultdict[str, dict[Reference, Held]] = defaultdict(dict)
        self._gone: OrderedDict[str, None] = OrderedDict()

    def put(self, body: Manifest) -> Change:
        """Take in an object as the API server shows it."""
        after = hold(body)
        before = self._held.get(after.reference)
        if after.uid in self._gone or (
            before is not None
            and before.uid == after.uid
            and _is_older(after.resource_version, before.resource_version)
        ):
            return Change(before=before, after=before)
        if before is not None:
            self._unlink(before)
        self._link(after)
        return Change(before=before, after=after)

    def remove(self, reference: Reference, uid: str) -> Change:
        """Forget an object that is gone; one that was made anew under its name stays."""
        self._gone[uid] = None
        while len(self._gone) > _REMEMBERED_DELETIONS:
            self._gone.popitem(last=False)
        before = self._held.get(reference)
        if before is None or before.uid != uid:
            return Change(before=before, after=before)
        self._unlink(before)
        return Change(before=before, after=None)

    def get(self, reference: Reference) -> Held | None:
        """The object of that name."""
        return self._held.get(reference)

    def of_kind(self, kind: str) -> list[Held]:
        """Every object of a kind."""
        return list(self._kinds[kind].values()) if kind in self._kinds else []

    def owned(self, key: Key) -> list[Held]:
        """Every object that carries a ModelDeployment's label."""
        return list(self._owned[key].values()) if key in self._owned else []

    def on_node(self, node: str) -> list[Held]:
        """Every pod on a node."""
        return list(self._on_node[node].values()) if node in self._on_node else []

    def with_hostname(self, hostname: str) -> list[Held]:
        """Every ModelDeployment that asks for a hostname."""
        return list(self._hostnames[hostname].values()) if hostname in self._hostnames else []

    def parents(self) -> Iterator[Key]:
        """Every ModelDeployment."""
        for reference in list(self._kinds[PARENT]):
            yield Key(namespace=reference.namespace, name=reference.name)

    def _link(self, held: Held) -> None:
        self._held[held.reference] = held
        for index, at in self._indices(held):
            index[at][held.reference] = held
        OBJECTS.labels(held.reference.kind).set(len(self._kinds[held.reference.kind]))

    def _unlink(self, held: Held) -> None:
        del self._held[held.reference]
        for index, at in self._indices(held):
            index[at].pop(held.reference, None)
            if not index[at]:
                del index[at]
        OBJECTS.labels(held.reference.kind).set(len(self._kinds.get(held.reference.kind, ())))

    def _indices(self, held: Held) -> Iterator[tuple[defaultdict[Any, dict[Reference, Held]], Any]]:
        yield self._kinds, held.reference.kind
        if held.owner is not None:
            yield self._owned, held.owner
        if held.node:
            yield self._on_node, held.node
        if held.hostname:
            yield self._hostnames, held.hostname
