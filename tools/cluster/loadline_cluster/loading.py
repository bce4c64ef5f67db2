"""Which images does each node lack, and how do they get there?"""

import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loadline_cluster import cluster, paths
from loadline_cluster.debian import temporary_folder
from loadline_cluster.errors import ClusterToolError
from loadline_cluster.image_store import store
from loadline_cluster.run import run
from loadline_cluster.steps import step

LABEL = "loadline.dev/id"
LOADED_LABEL = "loadline.dev/loaded"
KEPT = 5
"""Of each of our images a node keeps so many builds: pods of earlier ones may still start anew there."""

CONTAINERD = ("ctr", "--namespace", "k8s.io", "images")


def ensure(name: str, images: Iterable[str], *, only_control_plane: bool = False) -> None:
    """Bring `images` to those nodes of the cluster that do not have them."""
    nodes = [f"{name}-control-plane"] if only_control_plane else cluster.nodes(name)
    for image in images:
        with step(f"load {image}", f"the nodes of {name} reach no registry that has it") as under_way:
            identity = store().identity(image)
            if identity is None:
                raise ClusterToolError(
                    f"No image {image} here\n  What to do: `python -m loadline_cluster images` builds ours"
                )
            lacking = [node for node in nodes if not _has(node, image, identity)]
            if not lacking:
                under_way.already("it is there")
                continue
            archive = _archive(image, identity)
            with ThreadPoolExecutor() as pool:
                for loaded in [pool.submit(_load, node, image, identity, archive) for node in lacking]:
                    loaded.result()


_LOADED = re.compile(rf"{re.escape(LOADED_LABEL)}=(\d+)")


def _has(node: str, image: str, identity: str) -> bool:
    listed = run(["docker", "exec", node, *CONTAINERD, "ls", f"name=={image}"], deadline=60)
    return f"{LABEL}={identity}" in listed


def _load(node: str, image: str, identity: str, archive: Path) -> None:
    remedy = f"the node may be out of disk: docker exec {node} df /var"
    run(["docker", "exec", "-i", node, *CONTAINERD, "import", "-"], deadline=300, stdin=archive, remedy=remedy)
    labels = [f"{LABEL}={identity}", f"{LOADED_LABEL}={time.time():.0f}"]
    run(["docker", "exec", node, *CONTAINERD, "label", image, *labels], deadline=60)
    repository = image.rpartition(":")[0]
    listed = run(["docker", "exec", node, *CONTAINERD, "ls", f'name~="^{repository}:"'], deadline=60)
    for old in outdated(listed):
        run(["docker", "exec", node, *CONTAINERD, "rm", old], deadline=60)


def outdated(listed: str) -> list[str]:
    """Of a node's builds of one image, as containerd lists them, those that were loaded before the newest few."""
    rows = [(found.group(1), line.split()[0]) for line in listed.splitlines() if (found := _LOADED.search(line))]
    return [image for _, image in sorted(rows, reverse=True)[KEPT:]]


def _archive(image: str, identity: str) -> Path:
    """The image as a file; kept, so that the next cluster is quick, until another takes its place."""
    folder = paths.made(paths.cache() / "archives")
    stem = image.replace("/", "_").rpartition(":")[0]
    archive = folder / f"{stem}:{identity[:12]}.tar".replace(":", "-")
    if not archive.exists():
        for older in folder.glob(f"{stem.replace(':', '-')}-*.tar"):
            older.unlink(missing_ok=True)
        with temporary_folder("archive") as arriving:
            store().save(image, arriving / "image.tar")
            (arriving / "image.tar").rename(archive)
    return archive
