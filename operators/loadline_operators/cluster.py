"""How does the operator talk to the API server?

The official client carries the connection: login, TLS, tokens that are renewed. Its models stay unused: objects are
plain dictionaries, as they are on the wire. Its calls block, so they run on a bounded set of threads, each with a
deadline. Nothing is written unless `may_write()` says so at the moment of writing.
"""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import urllib3
from kubernetes import config as kubernetes_config
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from loadline_contracts.labels import FIELD_MANAGER
from typing_extensions import override

from loadline_operators.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    NamespaceEndsError,
    NotFoundError,
    NotLeaderError,
    RejectedError,
    UnavailableError,
)
from loadline_operators.telemetry import API_REQUESTS

Manifest = Mapping[str, Any]
"""An object as the API server takes and gives it."""

THREADS: Final = 16
"""How many requests may wait for the API server at once."""
DEADLINE: Final = 10.0
"""How long one request may take, in seconds."""
PAGE: Final = 500
"""How many objects one page of a list holds."""

PROBE: Final = f"{FIELD_MANAGER}-probe"
"""The manager of no field: in its name a write is tried that writes nothing."""

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json"

_MAX_NOTE = 1024
_REMEMBERED_EVENTS = 4096


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of object and where its resource lies."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of a collection, an object or one of its subresources."""
        root = "/apis" if "/" in self.api_version else "/api"
        parts = [root, self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/".join(parts)


KINDS: Final[Mapping[str, Kind]] = {
    kind.kind: kind
    for kind in (
        Kind(api_version="loadline.dev/v1alpha1", kind="ModelDeployment", plural="modeldeployments"),
        Kind(api_version="apps/v1", kind="Deployment", plural="deployments"),
        Kind(api_version="v1", kind="Service", plural="services"),
        Kind(api_version="v1", kind="ServiceAccount", plural="serviceaccounts"),
        Kind(api_version="v1", kind="Secret", plural="secrets"),
        Kind(api_version="v1", kind="Pod", plural="pods"),
        Kind(api_version="v1", kind="Node", plural="nodes", namespaced=False),
        Kind(api_version="policy/v1", kind="PodDisruptionBudget", plural="poddisruptionbudgets"),
        Kind(api_version="networking.k8s.io/v1", kind="NetworkPolicy", plural="networkpolicies"),
        Kind(api_version="gateway.networking.k8s.io/v1", kind="HTTPRoute", plural="httproutes"),
        Kind(api_version="gateway.networking.k8s.io/v1", kind="GRPCRoute", plural="grpcroutes"),
        Kind(
            api_version="gateway.envoyproxy.io/v1alpha1",
            kind="BackendTrafficPolicy",
            plural="backendtrafficpolicies",
        ),
        Kind(api_version="gateway.envoyproxy.io/v1alpha1", kind="SecurityPolicy", plural="securitypolicies"),
        Kind(api_version="coordination.k8s.io/v1", kind="Lease", plural="leases"),
        Kind(api_version="events.k8s.io/v1", kind="Event", plural="events"),
    )
}
"""Every kind that the operator reads or writes, by its name."""


@dataclass(frozen=True, kw_only=True, order=True)
class Reference:
    """The name of an object: a kind, a namespace (empty for cluster-wide kinds) and a name."""

    kind: str
    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"

    @property
    def path(self) -> str:
        """The URL path of the object."""
        return KINDS[self.kind].path(self.namespace or None, self.name)


def reference_of(manifest: Manifest) -> Reference:
    """The name of the object that a manifest describes."""
    metadata = manifest["metadata"]
    return Reference(kind=manifest["kind"], namespace=metadata.get("namespace", ""), name=metadata["name"])


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request to the API server."""

    verb: str
    target: str
    """What it is about, for people: logs and errors name it."""
    resource: str
    """Plural name of the kind, for metrics."""
    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    content_type: str = JSON
    body: Manifest | None = None
    deadline: float = DEADLINE


class Transport:
    """One authenticated connection pool; blocking, and safe to use from several threads."""

    def __init__(self, configuration: Configuration, *, connections: int = THREADS) -> None:
        configuration.retries = False
        configuration.connection_pool_maxsize = connections
        self._client = ApiClient(configuration)
        self._client.user_agent = "loadline-operator"

    @classmethod
    def login(cls, *, context: str | None = None, connections: int = THREADS) -> "Transport":
        """Log in with the pod's service account, or outside a pod with the kubeconfig."""
        configuration = Configuration()
        try:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
        except kubernetes_config.ConfigException:
            kubernetes_config.load_kube_config(context=context, client_configuration=configuration)
        return cls(configuration, connections=connections)

    def send(self, request: Request) -> dict[str, Any]:
        """Send one request and give back the object in the answer, or raise the ApiError that fits."""
        try:
            code, retry_after, raw = self._exchange(request)
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            API_REQUESTS.labels(request.verb, request.resource, "none").inc()
            raise UnavailableError(
                verb=request.verb, target=request.target, code="no answer", message=str(error)
            ) from error
        API_REQUESTS.labels(request.verb, request.resource, str(code)).inc()
        body = _parsed(raw)
        if code >= 400:
            raise _refusal(request, code=code, status=body, retry_after=retry_after)
        return body

    def _exchange(self, request: Request) -> tuple[int, str | None, bytes]:
        headers = {"Accept": JSON}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        method, url, headers, body, _ = self._client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query),
            header_params=headers,
            body=request.body,
            auth_settings=["BearerToken"],
        )
        response = self._client.call_api(method, url, headers, body, _request_timeout=request.deadline)
        raw = response.read()
        return response.status, response.headers.get("Retry-After"), raw

    def close(self) -> None:
        """Close every connection."""
        self._client.close()


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {"message": raw[:500].decode(errors="replace")}
    return body if isinstance(body, dict) else {"message": str(body)}


def _refusal(request: Request, *, code: int, status: Manifest, retry_after: str | None) -> ApiError:
    """The error that an answer stands for."""
    reason = str(status.get("reason", ""))
    words = {
        "verb": request.verb,
        "target": request.target,
        "code": f"{code} {reason}".strip(),
        "message": str(status.get("message", "")) or "no explanation",
    }
    if code == 409 and reason == "AlreadyExists":
        return AlreadyExistsError(**words)
    if code == 409:
        return ConflictError(**words)
    if code in {404, 410}:
        return NotFoundError(**words)
    if code in {401, 408, 429} or code >= 500:
        seconds = retry_after or str(status.get("details", {}).get("retryAfterSeconds", ""))
        return UnavailableError(**words, retry_after=float(seconds) if seconds.isdecimal() else None)
    if any(cause.get("reason") == "NamespaceTerminating" for cause in status.get("details", {}).get("causes") or ()):
        return NamespaceEndsError(**words)
    return RejectedError(**words)


@dataclass
class Cluster:
    """The API server, for the event loop: reads whenever asked, writes only while `may_write()`."""

    transport: Transport
    may_write: Callable[[], bool]
    instance: str = "loadline-operator"
    """Name of this replica, for events."""
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="api"))
    _events: OrderedDict[str, int] = field(default_factory=OrderedDict)

    async def get(self, reference: Reference) -> dict[str, Any]:
        """Read one object."""
        return await self._send(_on(reference, verb="get", method="GET"))

    async def list(self, kind: str, *, namespace: str | None = None, label_selector: str = "") -> list[dict[str, Any]]:
        """Read all objects of a kind, page by page."""
        described = KINDS[kind]
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            query = [("limit", str(PAGE))]
            query += [("labelSelector", label_selector)] if label_selector else []
            query += [("continue", token)] if token else []
            request = Request(
                verb="list",
                target=described.plural,
                resource=described.plural,
                method="GET",
                path=described.path(namespace),
                query=query,
            )
            page = await self._send(request)
            # The items of a list do not name their kind.
            items += [{"apiVersion": described.api_version, "kind": kind, **item} for item in page.get("items", [])]
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return items

    async def apply(self, manifest: Manifest, *, resource_version: str | None = None) -> dict[str, Any]:
        """Make an object as the manifest says, taking over the fields that it names, and give back what came of it.

        `resource_version` is that of the object that was looked at: if it has changed since, or is gone, the
        answer is a conflict. So a replica that slept through the loss of its lease overwrites nothing.
        """
        body = dict(manifest)
        if resource_version is not None:
            body["metadata"] = {**manifest["metadata"], "resourceVersion": resource_version}
        reference = reference_of(manifest)
        query = (("fieldManager", FIELD_MANAGER), ("force", "true"))
        return await self._write(
            _on(reference, verb="apply", method="PATCH", query=query, content_type=APPLY, body=body)
        )

    async def probe(self, manifest: Manifest) -> dict[str, Any]:
        """Show an object that may be written but not read: what would come of applying its name and labels.

        Whoever manages fields of the answer besides `PROBE` has made the object; where nobody does, there is none.
        """
        bare = {
            "apiVersion": manifest["apiVersion"],
            "kind": manifest["kind"],
            # With its labels, since clusters have policies that ask for some.
            "metadata": {name: manifest["metadata"].get(name) for name in ("name", "namespace", "labels")},
        }
        query = (("fieldManager", PROBE), ("force", "true"), ("dryRun", "All"))
        reference = reference_of(manifest)
        return await self._write(
            _on(reference, verb="dry_run", method="PATCH", query=query, content_type=APPLY, body=bare)
        )

    async def replace_status(self, reference: Reference, status: Manifest, *, resource_version: str) -> dict[str, Any]:
        """Write an object's whole status, if the object is still the one that was looked at."""
        body = {
            "apiVersion": KINDS[reference.kind].api_version,
            "kind": reference.kind,
            "metadata": {
                "name": reference.name,
                "namespace": reference.namespace,
                "resourceVersion": resource_version,
            },
            "status": status,
        }
        return await self._write(
            _on(
                reference,
                verb="update_status",
                method="PUT",
                subresource="status",
                query=(("fieldManager", f"{FIELD_MANAGER}-status"),),
                body=body,
            )
        )

    async def delete(self, reference: Reference, *, uid: str, resource_version: str) -> None:
        """Delete the object that was looked at, and only that one; what it owns goes after it."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": preconditions,
        }
        await self._write(_on(reference, verb="delete", method="DELETE", body=body))

    async def create_event(
        self, regarding: Manifest, *, reason: str, note: str, warning: bool, action: str = "Reconcile"
    ) -> None:
        """Tell what happened to an object; the same thing said again raises the count of the first event."""
        metadata = regarding["metadata"]
        said = json.dumps([metadata.get("uid"), reason, note])
        name = f"{metadata['name'][:200]}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        reference = Reference(kind="Event", namespace=metadata.get("namespace") or "default", name=name)
        if name in self._events:
            await self._repeat_event(reference)
            return
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": reference.namespace},
            "eventTime": now,
            "reportingController": "loadline.dev/operator",
            "reportingInstance": self.instance[:128],
            "action": action,
            "reason": reason,
            "note": note[:_MAX_NOTE],
            "type": "Warning" if warning else "Normal",
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
            },
        }
        try:
            await self._write(
                Request(
                    verb="create",
                    target=str(reference),
                    resource="events",
                    method="POST",
                    path=KINDS["Event"].path(reference.namespace),
                    body=body,
                )
            )
        except AlreadyExistsError:
            await self._repeat_event(reference)
        else:
            self._remember_event(name, 1)

    async def _repeat_event(self, reference: Reference) -> None:
        # Of an event that an earlier process made, the count is not known: the operator may not read events.
        known = self._events.get(reference.name, 1)
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        body = {"series": {"count": known + 1, "lastObservedTime": now}}
        request = _on(reference, verb="patch", method="PATCH", content_type=MERGE, body=body)
        try:
            await self._write(request)
        except NotFoundError:
            # Events live for an hour: the next one starts afresh.
            self._events.pop(reference.name, None)
        else:
            self._remember_event(reference.name, known + 1)

    def _remember_event(self, name: str, count: int) -> None:
        self._events[name] = count
        self._events.move_to_end(name)
        while len(self._events) > _REMEMBERED_EVENTS:
            self._events.popitem(last=False)

    async def _send(self, request: Request) -> dict[str, Any]:
        return await self._on_a_thread(lambda: self.transport.send(request))

    async def _write(self, request: Request) -> dict[str, Any]:
        def guarded() -> dict[str, Any]:
            # Asked on the thread that sends, so that no wait in the queue comes between answer and act.
            if not self.may_write():
                raise NotLeaderError(verb=request.verb, target=request.target)
            return self.transport.send(request)

        return await self._on_a_thread(guarded)

    async def _on_a_thread(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Let requests in flight end, start no further one, and close the connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.transport.close()


def _on(
    reference: Reference,
    *,
    verb: str,
    method: str,
    subresource: str | None = None,
    query: Sequence[tuple[str, str]] = (),
    content_type: str = JSON,
    body: Manifest | None = None,
) -> Request:
    """A request about one object."""
    kind = KINDS[reference.kind]
    return Request(
        verb=verb,
        target=str(reference),
        resource=kind.plural,
        method=method,
        path=kind.path(reference.namespace or None, reference.name, subresource),
        query=query,
        content_type=content_type,
        body=body,
    )
