"""How much memory and processor the parts of Loadline use, as their nodes count it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from support import names, nodes
from support.cluster import Cluster, Manifest

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one pod uses."""

    resident_mib: float
    cpu_seconds: float


PARTS: Mapping[str, Callable[[Cluster], Sequence[Manifest]]] = {
    "operator": lambda cluster: cluster.list("Pod", names.SYSTEM, selector=f"app.kubernetes.io/name={names.OPERATOR}"),
    "envoy-gateway": lambda cluster: cluster.list("Pod", names.GATEWAY_SYSTEM, selector="control-plane=envoy-gateway"),
    "envoy": lambda cluster: cluster.list("Pod", selector=names.ENVOY_SELECTOR),
}


def of(pod: Manifest) -> Usage:
    """What the processes of a pod use, shared pages counted for each."""
    found = nodes.processes(pod)
    return Usage(
        resident_mib=sum(process.resident_bytes for process in found) / MIB,
        cpu_seconds=sum(process.cpu_seconds for process in found),
    )


def snapshot(cluster: Cluster) -> dict[str, dict[str, Usage]]:
    """By part and pod: what is used now."""
    return {part: {pod["metadata"]["name"]: of(pod) for pod in find(cluster)} for part, find in PARTS.items()}


class Watched:
    """What was used between two moments."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}


@contextmanager
def watched(cluster: Cluster) -> Iterator[Watched]:
    """Note for each part the most resident memory and the cores that the block took."""
    noted, before, start = Watched(), snapshot(cluster), time.monotonic()
    yield noted
    seconds, after = time.monotonic() - start, snapshot(cluster)
    for part, pods in after.items():
        same = [(usage, before[part][name]) for name, usage in pods.items() if name in before[part]]
        used = [now.cpu_seconds - then.cpu_seconds for now, then in same]
        memory = ", ".join(f"{usage.resident_mib:.0f}" for usage in pods.values())
        noted.rows[part] = f"{memory} MiB, {100 * sum(used) / seconds:.0f} % of a core"
