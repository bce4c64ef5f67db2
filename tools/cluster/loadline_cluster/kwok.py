"""How do hundreds of pods become Ready on fake nodes?"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from loadline_cluster import cluster, paths, programs
from loadline_cluster.errors import ClusterToolError

KEY = "kwok.x-k8s.io/node"
"""Annotation that kwok manages a node by, label to select it by, and taint to tolerate."""

LEASE_SECONDS = 40
"""As long as a kubelet's own lease."""


def start(name: str, *, count: int) -> None:
    """Run kwok against a cluster, with `count` fake nodes that only tolerating pods are placed on."""
    # One that still runs may be left from a cluster of this name that is gone, and nodes from a run that was cut off.
    _end(name)
    cluster.kubectl(name, "delete", "nodes", "-l", f"{KEY}=fake")
    command = [str(programs.path("kwok")), "--kubeconfig", str(paths.kubeconfig(name))]
    command += ["--manage-all-nodes=false", f"--manage-nodes-with-annotation-selector={KEY}=fake"]
    # Without leases, which it leaves out by default, the nodes are taken for dead after 50 s.
    command += [f"--node-lease-duration-seconds={LEASE_SECONDS}"]
    with _file(name, "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    _file(name, "pid").write_text(str(process.pid))
    manifests = {"apiVersion": "v1", "kind": "List", "items": [_node(number) for number in range(count)]}
    cluster.kubectl(name, "apply", "--server-side", "-f", "-", stdin=json.dumps(manifests))
    wait = ("wait", "--for=condition=Ready", "nodes", "-l", f"{KEY}=fake", "--timeout=60s")
    cluster.kubectl(name, *wait, deadline=80, remedy=f"see {_file(name, 'log')}")


def stop(name: str) -> None:
    """Remove the fake nodes, and end kwok if this tool started it."""
    cluster.kubectl(name, "delete", "nodes", "-l", f"{KEY}=fake", "--wait=false")
    _end(name)


def _end(name: str) -> None:
    """End kwok if this tool started it, and wait until it has ended."""
    process = _running(name)
    if process:
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while _running(name):
            if time.monotonic() > deadline:
                raise ClusterToolError(
                    f"kwok ({process}) did not end within 10 s\n  What to do: see {_file(name, 'log')}"
                )
            time.sleep(0.1)
    _file(name, "pid").unlink(missing_ok=True)


def _node(number: int) -> dict[str, Any]:
    name = f"kwok-{number}"
    room = {"cpu": "64", "memory": "256Gi", "pods": "250"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {KEY: "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {KEY: "fake", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
        },
        "spec": {"taints": [{"key": KEY, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }


def _running(name: str) -> int:
    """The process that the pid file names, if that still is our kwok; 0 if not."""
    file = _file(name, "pid")
    process = int(file.read_text()) if file.exists() else 0
    try:
        state = Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return process if str(paths.kubeconfig(name)) in state and "kwok" in state else 0


def _file(name: str, suffix: str) -> Path:
    return paths.made(paths.cache() / "kwok") / f"{name}.{suffix}"
