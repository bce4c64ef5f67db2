"""Where do the tool's files lie?"""

import os
from pathlib import Path

DATA = Path(__file__).parent / "data"
"""What goes onto nodes and into modules, as files."""

REPOSITORY = Path(__file__).resolve().parents[3]
"""The root of the working tree, the build context of the project's images."""


def cache() -> Path:
    """All that the tool makes lies here: `$LOADLINE_CACHE`, by default `~/.cache/loadline`."""
    return Path(os.environ.get("LOADLINE_CACHE", Path.home() / ".cache" / "loadline"))


def made(folder: Path) -> Path:
    """Return `folder`, which exists afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def programs() -> Path:
    """The folder to put on PATH."""
    return made(cache() / "bin")


def temporary() -> Path:
    """The folder of temporary folders; on the disk of the cache, since node images do not fit every /tmp."""
    return made(cache() / "tmp")


def kubeconfig(cluster: str) -> Path:
    """The kubeconfig of one cluster."""
    return cache() / f"kubeconfig-{cluster}"
