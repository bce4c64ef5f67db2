"""What every Envoy has in force: its weights and since when, read from its read-only listener."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from support import names
from support.cluster import Cluster, Manifest

Split = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class InForce:
    """The routes of one Envoy."""

    since: float
    """When it last took a change, by its own clock, in seconds since 1970."""
    routes: Mapping[str, Split]
    """By route name: the weight of each cluster that it splits to."""

    def split_of(self, prefix: str) -> Split:
        """The split of the first route whose name begins so; empty where there is none."""
        return next((split for name, split in self.routes.items() if name.startswith(prefix)), {})


def pods(cluster: Cluster) -> list[Manifest]:
    """The Envoys of Loadline's Gateway that are there and not leaving."""
    found = cluster.list("Pod", selector=names.ENVOY_SELECTOR)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def in_force(cluster: Cluster, pod: Manifest) -> InForce:
    """What an Envoy routes by at this moment."""
    configs = read(cluster, pod, "/config_dump?resource=dynamic_route_configs").get("configs", [])
    times = [datetime.fromisoformat(config["last_updated"]).timestamp() for config in configs]
    return InForce(
        since=max(times, default=0.0),
        routes=dict(route for config in configs for route in _routes(config["route_config"])),
    )


def read(cluster: Cluster, pod: Manifest, path: str) -> Any:
    """One answer of an Envoy's read-only listener, through the API server's proxy."""
    meta = pod["metadata"]
    base = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}:{names.READ_ONLY_PORT}/proxy"
    answer = cluster.api.get(f"{base}{path}")
    answer.raise_for_status()
    return answer.json()


def _routes(config: Mapping[str, Any]) -> Iterator[tuple[str, Split]]:
    for host in config.get("virtual_hosts", []):
        for route in host.get("routes", []):
            yield route["name"], _split(route.get("route", {}))


def _split(action: Mapping[str, Any]) -> Split:
    if "weighted_clusters" in action:
        return {arm["name"]: int(arm.get("weight", 0)) for arm in action["weighted_clusters"]["clusters"]}
    return {action["cluster"]: 1} if "cluster" in action else {}
