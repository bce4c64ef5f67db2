"""Which programs do people and tests need, and where do they come from?"""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadline_cluster import golang, node_image, paths, versions
from loadline_cluster.run import run, succeeds
from loadline_cluster.steps import step


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program: how it is built from its Go module, and which installed one serves as well."""

    name: str
    version: str
    build: Callable[[], Path]
    fits: Callable[[Path], bool]


def ensure() -> None:
    """Have every program in the tool's own folder of programs."""
    for program in PROGRAMS:
        with step(f"program {program.name}", f"{program.version}, or one on PATH that fits") as under_way:
            place = paths.programs() / program.name
            wanted = _on_path(program) or program.build()
            if place.is_symlink() and place.readlink() == wanted:
                under_way.already()
                continue
            place.unlink(missing_ok=True)
            place.symlink_to(wanted)


def path(name: str) -> Path:
    """The program's place after `ensure`."""
    return paths.programs() / name


def minor_distance(version: str, wanted: str) -> int:
    """How many minor versions lie between two versions of one major version."""
    return abs(_numbers(version)[1] - _numbers(wanted)[1])


def at_least(version: str, wanted: str) -> bool:
    """Compare two versions by their numbers."""
    return _numbers(version) >= _numbers(wanted)


def _on_path(program: Program) -> Path | None:
    """An installed program that fits."""
    elsewhere = [part for part in os.environ.get("PATH", "").split(":") if Path(part) != paths.programs()]
    found = shutil.which(program.name, path=":".join(elsewhere))
    return Path(found) if found and program.fits(Path(found)) else None


def _kubectl_fits(program: Path) -> bool:
    command = [program, "version", "--client", "-o", "json"]
    if not succeeds(command, deadline=20):
        return False
    version = str(json.loads(run(command, deadline=20))["clientVersion"]["gitVersion"])
    return minor_distance(version, versions.KUBERNETES) <= 1


def _prints_at_least(wanted: str, *arguments: str) -> Callable[[Path], bool]:
    def fits(program: Path) -> bool:
        if not succeeds([program, *arguments], deadline=20):
            return False
        found = re.search(r"v\d+\.\d+\.\d+", run([program, *arguments], deadline=20))
        return found is not None and at_least(found.group(), wanted)

    return fits


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = re.findall(r"\d+", version)[:3]
    return int(major), int(minor), int(patch)


def _built(package: str, version: str) -> Callable[[], Path]:
    return lambda: golang.install(package, version)


PROGRAMS = (
    Program(
        name="kubectl",
        version=versions.KUBERNETES,
        build=lambda: node_image.KUBERNETES.build() / "kubectl",
        fits=_kubectl_fits,
    ),
    Program(
        name="kind",
        version=versions.KIND,
        build=_built("sigs.k8s.io/kind", versions.KIND),
        fits=_prints_at_least("v0.30.0", "version"),
    ),
    Program(
        name="helm",
        version=versions.HELM,
        build=_built("helm.sh/helm/v3/cmd/helm", versions.HELM),
        fits=_prints_at_least("v3.16.0", "version"),
    ),
    Program(
        name="kubeconform",
        version=versions.KUBECONFORM,
        build=_built("github.com/yannh/kubeconform/cmd/kubeconform", versions.KUBECONFORM),
        fits=_prints_at_least("v0.6.7", "-v"),
    ),
    Program(
        name="kwok",
        version=versions.KWOK,
        build=_built("sigs.k8s.io/kwok/cmd/kwok", versions.KWOK),
        fits=_prints_at_least("v0.6.0", "--version"),
    ),
    Program(
        name="vegeta",
        version=versions.VEGETA,
        build=_built("github.com/tsenart/vegeta/v12", versions.VEGETA),
        fits=_prints_at_least("v12.8.0", "-version"),
    ),
)
