"""Where may the pods of a model call?

To a name server and, while they fetch model files, to the object store, to what says who they are, and to proxies.
Policies judge the connection behind a Service, to a pod on a port of its own: where an address names a Service, neither
is known, and its whole namespace is opened.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from loadline_contracts.modeldeployment import ModelDeployment

from loadline_operators.planning import Manifest, PlanSettings, StoreSettings

STORE_PORT: Final = 7070
METADATA: Final = "169.254.169.254"
"""Where the clouds tell a machine, and most of them a pod, who it is."""

_PORTS: Final = {"http": 80, "https": 443}
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""What can be a namespace."""


class _Place(NamedTuple):
    host: str
    port: int


def rules(parent: ModelDeployment, settings: PlanSettings) -> list[Manifest]:
    """Say where the pods may call, each way out once."""
    wanted = [
        _to_dns(),
        *_to_store(parent, settings),
        *_to_identity(settings.store),
        *(rule for proxy in _proxies(parent) for rule in _to(proxy, home=parent.metadata.namespace)),
        *settings.store.extra_egress,
    ]
    return [rule for position, rule in enumerate(wanted) if rule not in wanted[:position]]


def _to_dns() -> Manifest:
    return {"to": [in_namespace("kube-system")], "ports": [{"port": 53, "protocol": "UDP"}, tcp(53)]}


def _to_store(parent: ModelDeployment, settings: PlanSettings) -> list[Manifest]:
    store = settings.store
    if store.scheme == "file":
        return []
    if store.own:
        pods = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "loadline-store"}}}
        return [{"to": [{**in_namespace(settings.namespace), **pods}], "ports": [tcp(STORE_PORT)]}]
    if store.scheme == "s3" and store.endpoint:
        return _to(store.endpoint, home=parent.metadata.namespace)
    return [_to_anybody(443)]


def _to_identity(store: StoreSettings) -> list[Manifest]:
    """Open the ways to a key for pods that have none: their cloud's token service, and its metadata."""
    if store.keyed or store.scheme == "file":
        return []
    return [_to_anybody(443), _to_block(f"{METADATA}/32", 80)]


def _proxies(parent: ModelDeployment) -> Iterator[str]:
    """The proxies of all revisions: one policy holds for the pods of the last one and of those before."""
    pods = [parent.spec.pod, *(revision.template.pod for revision in parent.status.revisions)]
    for pod in pods:
        if pod.proxy:
            yield from filter(None, (pod.proxy.http, pod.proxy.https))


def _to(address: str, *, home: str) -> list[Manifest]:
    """Open the way to an address as a pod in the namespace `home` reads it; to what is no address there is none."""
    place = _place(address)
    if place is None:
        return []
    if block := _block(place.host):
        return [_to_block(block, place.port)]
    if namespace := _service_namespace(place.host, home=home):
        return [{"to": [in_namespace(namespace)]}]
    return [_to_anybody(place.port)]


def _place(address: str) -> _Place | None:
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return _Place(parts.hostname, port) if parts.hostname and port else None


def _block(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    return f"{address}/{address.max_prefixlen}"


def _service_namespace(host: str, *, home: str) -> str:
    """Return the namespace of the Service that a host names; nothing for a host elsewhere.

    Names of Services are `service`, `service.namespace`, or longer with `svc` after the namespace.
    """
    words = host.split(".")
    by_length = {1: home, 2: words[-1]}.get(len(words), "")
    namespace = words[words.index("svc", 2) - 1] if "svc" in words[2:] else by_length
    return namespace if _LABEL.fullmatch(namespace) else ""


def in_namespace(name: str) -> Manifest:
    """Name every pod of a namespace as a peer; a podSelector beside it leaves some of them."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _to_block(cidr: str, port: int) -> Manifest:
    return {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [tcp(port)]}


def _to_anybody(port: int) -> Manifest:
    return {"ports": [tcp(port)]}


def tcp(port: int) -> Manifest:
    """Name a TCP port."""
    return {"port": port, "protocol": "TCP"}
