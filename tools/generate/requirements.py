"""Which exact distributions go into each image, and into the developers' environment?

``python tools/generate/requirements.py`` writes ``requirements/*.txt`` with hashes and without addresses. What a file
pins already is kept; ``--upgrade`` takes the newest. Images follow ``dev.txt``, so that tests run with what ships.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
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
    "loadline-bench",
)
PEERS: Final = tuple(path.stem for path in sorted((ROOT / "tools/bench/peers").glob("*.in")))
"""What `make bench-serving` measures us against; the two bare ones stand on what ours stands on."""
BARE: Final = ("fastapi", "grpc")
UV: Final = "uv"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One requirement file: what goes in, and whether it follows dev.txt."""

    name: str
    sources: tuple[str, ...]
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    platform: str = ""
    """The only platform that it is for; none: all."""
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
            "tools/bench/pyproject.toml",
        ),
        groups=("dev",),
        follows_dev=False,
    ),
    Lock(name="operator", sources=("operators/pyproject.toml", "platform/contracts/pyproject.toml")),
    Lock(name="serving", sources=("serving/pyproject.toml", "platform/contracts/pyproject.toml")),
    Lock(
        name="serving-gpu",
        sources=("serving/pyproject.toml", "platform/contracts/pyproject.toml"),
        extras=("gpu",),
        platform="x86_64-manylinux_2_28",
        overrides="serving/gpu-overrides.txt",
    ),
    Lock(
        name="mlflow",
        sources=("platform/registry/pyproject.toml",),
        follows_dev=False,
        overrides="platform/registry/overrides.txt",
    ),
    Lock(name="clients", sources=(), groups=("clients",), follows_dev=False),
    Lock(name="train", sources=(), groups=("train",), platform="x86_64-manylinux_2_28", follows_dev=False),
    *(
        Lock(
            name=f"peers/{peer}",
            sources=(f"tools/bench/peers/{peer}.in",),
            platform="x86_64-manylinux_2_35",
            follows_dev=peer in BARE,
        )
        for peer in PEERS
    ),
)


def command(lock: Lock, output: Path, flags: list[str]) -> list[str]:
    """Return the call of uv that writes one file, keeping what it pins already."""
    groups = [f"--group={group}" for group in lock.groups]
    extras = [f"--extra={extra}" for extra in lock.extras]
    left_out = [word for member in MEMBERS for word in ("--no-emit-package", member)]
    platform = [f"--python-platform={lock.platform}"] if lock.platform else ["--universal"]
    follow = ["--constraints=requirements/dev.txt"] if lock.follows_dev else []
    overrides = [f"--override={lock.overrides}"] if lock.overrides else []
    return [
        UV,
        "pip",
        "compile",
        *FLAGS,
        *platform,
        *groups,
        *extras,
        *left_out,
        *follow,
        *overrides,
        *flags,
        f"--output-file={output}",
        *lock.sources,
    ]


def main(flags: list[str]) -> None:
    """Write every file that changes; one that does not keeps its time, by which make decides what is old."""
    with TemporaryDirectory() as folder:
        for lock in LOCKS:
            kept, made = ROOT / "requirements" / f"{lock.name}.txt", Path(folder) / f"{lock.name}.txt"
            made.parent.mkdir(exist_ok=True)
            if kept.exists():
                shutil.copy(kept, made)
            subprocess.run(command(lock, made, flags), cwd=ROOT, check=True, timeout=300)
            if not kept.exists() or kept.read_bytes() != made.read_bytes():
                shutil.copy(made, kept)


if __name__ == "__main__":
    main(sys.argv[1:])
