"""Which exact distributions go into each image, and into the developers' environment?

``python tools/generate/requirements.py`` writes ``requirements/*.txt`` with hashes and without addresses. What a file
pins already is kept; ``--upgrade`` takes the newest. All files follow ``dev.txt``, so that tests run with what ships.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
FLAGS: Final = (
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--python-version=3.11",
    "--quiet",
)
MEMBERS: Final = (
    "loadline-contracts",
    "loadline-operators",
    "loadline-serving",
    "loadline-cluster",
    "loadline-results",
)
UV: Final = "uv"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One requirement file: what goes in, and whether it follows dev.txt."""

    name: str
    sources: tuple[str, ...]
    groups: tuple[str, ...] = ()
    universal: bool = True
    follows_dev: bool = True
    overrides: str = ""
    """A file that takes back what a distribution asks for."""


LOCKS: Final = (
    Lock(
        name="dev",
        sources=(
            "operators/pyproject.toml",
            "serving/pyproject.toml",
            "platform/contracts/pyproject.toml",
            "tools/cluster/pyproject.toml",
            "tools/results/pyproject.toml",
        ),
        groups=("dev",),
        follows_dev=False,
    ),
    Lock(name="operator", sources=("operators/pyproject.toml", "platform/contracts/pyproject.toml")),
    Lock(name="serving", sources=("serving/pyproject.toml", "platform/contracts/pyproject.toml")),
    Lock(
        name="mlflow",
        sources=("platform/registry/pyproject.toml",),
        follows_dev=False,
        overrides="platform/registry/overrides.txt",
    ),
    Lock(name="train", sources=(), groups=("train",), universal=False, follows_dev=False),
)


def command(lock: Lock, extra: list[str]) -> list[str]:
    """Return the call of uv that writes one file."""
    groups = [f"--group={group}" for group in lock.groups]
    left_out = [word for member in MEMBERS for word in ("--no-emit-package", member)]
    platform = ["--universal"] if lock.universal else ["--python-platform=x86_64-manylinux_2_28"]
    follow = ["--constraints=requirements/dev.txt"] if lock.follows_dev else []
    overrides = [f"--override={lock.overrides}"] if lock.overrides else []
    output = f"--output-file=requirements/{lock.name}.txt"
    return [
        UV,
        "pip",
        "compile",
        *FLAGS,
        *platform,
        *groups,
        *left_out,
        *follow,
        *overrides,
        *extra,
        output,
        *lock.sources,
    ]


def main(extra: list[str]) -> None:
    """Write every file."""
    for lock in LOCKS:
        subprocess.run(command(lock, extra), cwd=ROOT, check=True, timeout=300)


if __name__ == "__main__":
    main(sys.argv[1:])
