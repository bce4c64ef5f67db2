"""Who wrote to the API server: its own count of requests, by resource."""

import re
from collections.abc import Iterator, Mapping

from support.cluster import Cluster

LINE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
# Heartbeats of every Kubernetes cluster, and questions that are posted but write nothing.
NOT_COUNTED = frozenset({"leases", "nodes", "tokenreviews", "subjectaccessreviews", "selfsubjectreviews"})


def counted(cluster: Cluster) -> dict[str, float]:
    """By resource: how many writing requests the API server has had, answered in whatever way."""
    answer = cluster.api.get("/metrics")
    answer.raise_for_status()
    totals: dict[str, float] = {}
    for resource, count in _writes(answer.text):
        totals[resource] = totals.get(resource, 0) + count
    return totals


def since(cluster: Cluster, before: Mapping[str, float]) -> dict[str, int]:
    """By resource: the writes since then, without heartbeats."""
    now = counted(cluster)
    return {key: int(now[key] - before.get(key, 0)) for key in now if now[key] > before.get(key, 0)}


def _writes(text: str) -> Iterator[tuple[str, float]]:
    for line in LINE.finditer(text):
        labels = dict(LABEL.findall(line["labels"]))
        if labels["verb"] in WRITES and labels["resource"] not in NOT_COUNTED:
            yield f"{labels['resource']}/{labels.get('subresource', '')}".rstrip("/"), float(line["count"])
