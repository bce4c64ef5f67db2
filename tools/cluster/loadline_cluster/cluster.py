"""Is the cluster there, and how is it made and removed?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from loadline_cluster import debian, paths, programs, versions
from loadline_cluster.errors import ClusterToolError
from loadline_cluster.run import run, succeeds
from loadline_cluster.steps import step

DEMO = "loadline"
NAMES = ("loadline", "loadline-test")
READY_DEADLINE = 180


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of a cluster, which is a container."""

    name: str
    running: bool
    image: str


def nodes(name: str) -> list[str]:
    """The names of a cluster's nodes; none where there is no such cluster."""
    return [node.name for node in inspect(name)]


def inspect(name: str) -> list[Node]:
    """Ask the engine for the containers of a cluster."""
    template = "{{.Names}}\t{{.State}}\t{{.Image}}"
    command = ["docker", "ps", "-a", "--filter", f"label=io.x-k8s.kind.cluster={name}", "--format", template]
    rows = (line.split("\t") for line in run(command, deadline=30).splitlines())
    return sorted(
        (Node(name=row[0], running=row[1] == "running", image=row[2]) for row in rows), key=lambda node: node.name
    )


def ensure(name: str, *, image: str, port: int, recreate: bool) -> None:
    """Have a cluster `name` whose nodes are Ready."""
    with step(
        f"cluster {name}", "one control plane and two workers, so that a drain and the loss of a node are real"
    ) as under_way:
        found = inspect(name)
        if found and (recreate or not _is_usable(name, found)):
            under_way.note("removed: it was asked for" if recreate else "removed: its control plane does not answer")
            remove(name)
            found = []
        if not found:
            _create(name, image=image, port=port)
        else:
            _start_stopped(found)
            _note_other_image(found, image, under_way.note)
            under_way.already("already there")
        _wait_until_ready(name)


def remove(name: str) -> None:
    """Remove a cluster with all it holds."""
    kubeconfig = ["--kubeconfig", str(paths.kubeconfig(name))]
    run([programs.path("kind"), "delete", "cluster", "--name", name, *kubeconfig], deadline=120)
    if name == DEMO:
        run([programs.path("kind"), "delete", "cluster", "--name", name], deadline=60)
    paths.kubeconfig(name).unlink(missing_ok=True)


def kubectl(name: str, *arguments: str, deadline: float = 60, stdin: str | None = None, remedy: str = "") -> str:
    """Run kubectl against one cluster, whatever the user's current context is."""
    command = [programs.path("kubectl"), "--kubeconfig", paths.kubeconfig(name), "--context", f"kind-{name}"]
    return run([*command, *arguments], deadline=deadline, stdin=stdin, remedy=remedy)


def port(name: str) -> int:
    """The port of this machine at which the gateway of a cluster is reached."""
    command = ["docker", "port", f"{name}-control-plane", f"{versions.GATEWAY_NODE_PORT}/tcp"]
    return int(run(command, deadline=30, remedy=f"`up --name {name}` makes the cluster").split()[0].rpartition(":")[2])


def configuration(name: str, *, image: str, port: int) -> dict[str, Any]:
    """The cluster's configuration: what kind-config.yaml says, and what only this tool knows."""
    config: dict[str, Any] = yaml.safe_load((paths.REPOSITORY / "kind-config.yaml").read_text())
    config["name"] = name
    for node in config["nodes"]:
        node["image"] = image
        for mapping in node.get("extraPortMappings", []):
            mapping["hostPort"] = port
    return config


def _create(name: str, *, image: str, port: int) -> None:
    paths.made(paths.cache())
    with debian.temporary_folder("kind") as folder:
        config = folder / "config.yaml"
        config.write_text(json.dumps(configuration(name, image=image, port=port)))
        command = [
            programs.path("kind"),
            "create",
            "cluster",
            "--config",
            config,
            "--kubeconfig",
            paths.kubeconfig(name),
        ]
        remedy = f"is the port free? `docker ps -a` shows what is left; `down --name {name}` removes it"
        run(command, deadline=300, remedy=remedy)
    if name == DEMO:
        run([programs.path("kind"), "export", "kubeconfig", "--name", name], deadline=30)


def _is_usable(name: str, found: Sequence[Node]) -> bool:
    """Say whether the control plane runs and answers. One that came back with the engine often does not."""
    control_plane = next((node for node in found if node.name == f"{name}-control-plane"), None)
    if control_plane is None or not control_plane.running or not paths.kubeconfig(name).exists():
        return False
    command = [programs.path("kubectl"), "--kubeconfig", paths.kubeconfig(name), "get", "--raw", "/readyz"]
    return succeeds(command, deadline=20)


def _start_stopped(found: Sequence[Node]) -> None:
    for node in found:
        if not node.running:
            run(["docker", "start", node.name], deadline=60)


def _note_other_image(found: Sequence[Node], image: str, note: Any) -> None:
    if any(_short(node.image) != _short(image) for node in found):
        note(f"its nodes run {found[0].image}, not {image}: `up --recreate` makes it anew, without what it holds")


def _wait_until_ready(name: str) -> None:
    remedy = f"`docker exec {name}-worker journalctl -u pod-network -u kubelet` says why a node is not"
    wait = f"--timeout={READY_DEADLINE}s"
    kubectl(name, "wait", "--for=condition=Ready", "nodes", "--all", wait, deadline=READY_DEADLINE + 20, remedy=remedy)
    if len(nodes(name)) < 1:
        raise ClusterToolError(f"No nodes in {name}\n  What to do: `up --recreate --name {name}`")
    dns = ("-n", "kube-system", "rollout", "status", "deployment/coredns", wait)
    kubectl(name, *dns, deadline=READY_DEADLINE + 20, remedy=f"`kubectl --context kind-{name} -n kube-system get pods`")


def _short(image: str) -> str:
    """An image as Docker itself names it: without the registry that goes without saying."""
    return image.removeprefix("docker.io/")
