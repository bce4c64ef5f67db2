"""What a test does to a node, or to a process on it, that no API offers: stop, start, signal, look."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.cluster import Cluster, CommandFailedError, Manifest
from support.waiting import wait_for


def on_node(node: str, *command: str, within: float = 30) -> str:
    """Run a command in a node's container."""
    return _docker("exec", node, *command, within=within)


def copy_to(node: str, here: Path, there: str) -> None:
    """Copy a file into a node's container."""
    _docker("cp", str(here), f"{node}:{there}", within=60)


def copy_from(node: str, there: str, here: Path) -> None:
    """Copy a file out of a node's container."""
    _docker("cp", f"{node}:{there}", str(here), within=60)


def address(node: str) -> str:
    """A node's address among the nodes."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return _docker("inspect", "--format", template, node, within=30).strip()


def workers(cluster: Cluster) -> list[str]:
    """The nodes that are not the control plane and not fake."""
    found = cluster.list("Node", selector="!node-role.kubernetes.io/control-plane,type!=kwok")
    return sorted(node["metadata"]["name"] for node in found)


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of a pod, as its node sees it."""

    node: str
    pid: int
    command: str
    resident_bytes: int
    cpu_seconds: float

    def signal(self, name: str) -> None:
        """Send a signal from the node: the pod is not asked."""
        on_node(self.node, "kill", f"-{name}", str(self.pid))


# One line per process: pid, resident pages, user and system ticks, command line.
LOOK = r"""
for f in $(grep -lE 'pod(UID|UNDERSCORED)' /proc/[0-9]*/cgroup 2>/dev/null); do
  d=${f%/cgroup}; [ -r "$d/stat" ] || continue
  read -r _ resident _ < "$d/statm" || continue
  rest=$(sed 's/.*) //' "$d/stat") || continue
  set -- $rest
  echo "${d#/proc/} $resident $(( ${12} + ${13} )) $(tr '\0\n' '  ' < "$d/cmdline")"
done
"""
PAGE_BYTES = 4096
TICKS_PER_SECOND = 100


def processes(pod: Manifest) -> list[Process]:
    """The processes of a pod, without the pause process that holds its network."""
    uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
    script = LOOK.replace("UID", uid).replace("UNDERSCORED", uid.replace("-", "_"))
    found = [_process(node, line) for line in on_node(node, "sh", "-c", script).splitlines()]
    return [process for process in found if process.command and not process.command.startswith("/usr/local/bin/pause")]


def main_process(pod: Manifest, *, needle: str = "") -> Process:
    """The oldest process of a pod whose command line contains `needle`."""
    found = [process for process in processes(pod) if needle in process.command]
    assert found, f"no process with {needle!r} in pod {pod['metadata']['name']}"
    return min(found, key=lambda process: process.pid)


def _process(node: str, line: str) -> Process:
    pid, resident, ticks, *command = line.split(" ", 3)
    return Process(
        node=node,
        pid=int(pid),
        command=" ".join(command).strip(),
        resident_bytes=int(resident) * PAGE_BYTES,
        cpu_seconds=int(ticks) / TICKS_PER_SECOND,
    )


def stop(node: str) -> None:
    """Let a node die: its container is killed, nothing on it is told."""
    _docker("stop", "--time", "0", node, within=60)


def start(cluster: Cluster, node: str, *, within: float = 120) -> None:
    """Bring a dead node back and wait until the cluster counts on it again."""
    _docker("start", node, within=60)
    wait_for(
        lambda: is_ready(cluster.must_get("Node", node)),
        f"node {node} is Ready again",
        within=within,
        seen=lambda: cluster.must_get("Node", node)["status"]["conditions"],
    )


def is_ready(node: Manifest) -> bool:
    """Whether a node says that it is Ready."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def drain(cluster: Cluster, node: str, *, within: float = 180) -> None:
    """Drain a node as an administrator does, by eviction, so that disruption budgets are asked."""
    cluster.kubectl(
        "drain",
        node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        f"--timeout={int(within)}s",
        within=within + 10,
    )


def cordon(cluster: Cluster, node: str) -> None:
    """Let no further pod be scheduled on a node."""
    cluster.kubectl("cordon", node)


def uncordon(cluster: Cluster, node: str) -> None:
    """Let pods be scheduled on a node again."""
    cluster.kubectl("uncordon", node)


def _docker(*arguments: str, within: float) -> str:
    command: Sequence[str] = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=within, check=False)
    if done.returncode != 0:
        raise CommandFailedError([shlex.join(command)], done.stdout + done.stderr)
    return done.stdout
