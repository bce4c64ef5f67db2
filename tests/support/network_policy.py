"""Whether NetworkPolicies let a connection through, as a cluster that enforces them would say.

The development cluster has no engine for NetworkPolicies, so tests ask this one: Kubernetes' rules for pods,
namespaces, address blocks and ports, and nothing that depends on an implementation (traffic of a node to its
own pods is not judged).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Manifest = dict[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What policies see of a pod."""

    namespace: str
    labels: Labels
    ports: Mapping[str, int] = field(default_factory=dict)
    """Container ports by name."""
    address: str | None = None

    @classmethod
    def of(cls, manifest: Manifest, *, namespace: str = "") -> "Pod":
        """Read a pod, or the pod template of a workload."""
        found = manifest if "containers" in manifest["spec"] else manifest["spec"]["template"]
        containers = found["spec"]["containers"]
        named = {
            port["name"]: port["containerPort"]
            for container in containers
            for port in container.get("ports", [])
            if "name" in port
        }
        return cls(
            namespace=namespace or manifest["metadata"]["namespace"],
            labels=found["metadata"].get("labels", {}),
            ports=named,
            address=found.get("status", {}).get("podIP"),
        )


@dataclass(frozen=True, kw_only=True)
class Outside:
    """An address that belongs to no pod."""

    address: str


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Who calls whom."""

    source: Pod | Outside
    destination: Pod | Outside
    port: int
    protocol: str = "TCP"


def evaluate(policies: Sequence[Manifest], connection: Connection, *, namespaces: Mapping[str, Labels]) -> bool:
    """Say whether the source may open this connection and the destination may take it."""
    return _allows("Egress", policies, connection, namespaces) and _allows("Ingress", policies, connection, namespaces)


def _allows(
    direction: str, policies: Sequence[Manifest], connection: Connection, namespaces: Mapping[str, Labels]
) -> bool:
    """A pod that no policy selects is open; a selected one needs one rule of one policy."""
    here, there = connection.source, connection.destination
    if direction == "Ingress":
        here, there = there, here
    if not isinstance(here, Pod):
        return True
    selecting = [policy["spec"] for policy in policies if _selects(policy, here, direction)]
    peers_key = "from" if direction == "Ingress" else "to"
    return not selecting or any(
        _any_peer(rule.get(peers_key, []), there, here.namespace, namespaces)
        and _any_port(rule.get("ports", []), connection)
        for spec in selecting
        for rule in spec.get(direction.lower(), [])
    )


def _selects(policy: Manifest, pod: Pod, direction: str) -> bool:
    spec = policy["spec"]
    implied = ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in spec.get("policyTypes", implied)
        and matches(spec.get("podSelector", {}), pod.labels)
    )


def _any_peer(peers: Sequence[Manifest], there: Pod | Outside, home: str, namespaces: Mapping[str, Labels]) -> bool:
    """A rule without peers means everybody."""
    return not peers or any(_is_peer(peer, there, home, namespaces) for peer in peers)


def _any_port(ports: Sequence[Manifest], connection: Connection) -> bool:
    """A rule without ports means all of them."""
    return not ports or any(_is_port(port, connection) for port in ports)


def _is_peer(peer: Manifest, there: Pod | Outside, home: str, namespaces: Mapping[str, Labels]) -> bool:
    if "ipBlock" in peer:
        return there.address is not None and _in_block(there.address, peer["ipBlock"])
    if not isinstance(there, Pod):
        return False
    if "namespaceSelector" in peer:
        in_namespace = matches(peer["namespaceSelector"], _namespace_labels(there.namespace, namespaces))
    else:
        in_namespace = there.namespace == home
    return in_namespace and matches(peer.get("podSelector", {}), there.labels)


def _namespace_labels(name: str, namespaces: Mapping[str, Labels]) -> Labels:
    """A namespace's labels; Kubernetes itself adds its name."""
    return {**namespaces.get(name, {}), "kubernetes.io/metadata.name": name}


def _in_block(address: str, block: Manifest) -> bool:
    here = ip_address(address)
    return here in ip_network(block["cidr"]) and not any(here in ip_network(hole) for hole in block.get("except", []))


def _is_port(port: Manifest, connection: Connection) -> bool:
    if port.get("protocol", "TCP") != connection.protocol:
        return False
    if "port" not in port:
        return True
    asked: int | str = port["port"]
    if isinstance(asked, str):
        named = connection.destination.ports if isinstance(connection.destination, Pod) else {}
        return named.get(asked) == connection.port
    last: int = port.get("endPort", asked)
    return asked <= connection.port <= last


def matches(selector: Manifest, labels: Labels) -> bool:
    """Whether a label selector selects these labels; the empty one selects everything."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _expression_holds(expression, labels) for expression in selector.get("matchExpressions", [])
    )


def _expression_holds(expression: Manifest, labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values", [])
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case unknown:
            raise ValueError(f"label selector operator {unknown} does not exist")
