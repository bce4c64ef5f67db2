"""What every Envoy has in force: weights and endpoints, read from its read-only listener."""

from collections.abc import Iterator
from typing import Any

from support import names
from support.cluster import Cluster, Manifest

Weights = dict[str, int]


def pods(cluster: Cluster) -> list[Manifest]:
    """The Envoys of Loadline's Gateway that are there and not leaving."""
    found = cluster.list("Pod", names.GATEWAY_SYSTEM, selector=names.ENVOY_SELECTOR) or cluster.list(
        "Pod", selector=names.ENVOY_SELECTOR
    )
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def read(cluster: Cluster, pod: Manifest, path: str) -> Any:
    """One answer of an Envoy's read-only listener, through the API server's proxy."""
    meta = pod["metadata"]
    base = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}:{names.READ_ONLY_PORT}/proxy"
    answer = cluster.api.get(f"{base}{path}")
    answer.raise_for_status()
    return answer.json()


def weights(cluster: Cluster, pod: Manifest) -> dict[str, Weights]:
    """By route name: the weight of each Envoy cluster that its rule splits to."""
    dump = read(cluster, pod, "/config_dump?resource=dynamic_route_configs")
    return {name: split for config in dump.get("configs", []) for name, split in _routes(config["route_config"])}


def _routes(config: dict[str, Any]) -> Iterator[tuple[str, Weights]]:
    for host in config.get("virtual_hosts", []):
        for route in host.get("routes", []):
            yield route["name"], _split(route.get("route", {}))


def _split(action: dict[str, Any]) -> Weights:
    if "weighted_clusters" in action:
        return {arm["name"]: int(arm.get("weight", 0)) for arm in action["weighted_clusters"]["clusters"]}
    return {action["cluster"]: 1} if "cluster" in action else {}
