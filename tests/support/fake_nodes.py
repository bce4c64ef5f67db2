"""Nodes that kwok pretends: their pods are Ready at once and cost nothing, so that objects can be many."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from support import nodes
from support.cluster import Cluster, CommandFailedError

KEY: Final = "kwok.x-k8s.io/node"
SELECTOR: Final = {"type": "kwok"}
TOLERATION: Final = {"key": KEY, "operator": "Equal", "value": "fake", "effect": "NoSchedule"}
POD_NETWORK: Final = "10.0.0.0/16"
"""Where kwok takes its pods' addresses from."""


@contextmanager
def fake_nodes(cluster: Cluster, number: int) -> Iterator[None]:
    """Nodes that exist while the block runs."""
    try:
        _tool("kwok", f"--name={cluster.name}", f"--nodes={number}")
        _route(cluster, "replace")
        try:
            yield
        finally:
            _route(cluster, "delete")
    finally:
        _tool("kwok", f"--name={cluster.name}", "--stop")


def _route(cluster: Cluster, change: str) -> None:
    """Nobody is behind a fake pod's address: let the network say so at once, as it does for a pod that is gone."""
    for node in cluster.list("Node", selector="type!=kwok"):
        nodes.on_node(node["metadata"]["name"], "ip", "route", change, "unreachable", POD_NETWORK)


def _tool(*arguments: str) -> None:
    command = [sys.executable, "-m", "loadline_cluster", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise CommandFailedError(command, done.stdout + done.stderr)
