"""Which programs do people and tests need, and where do they come from?"""

import os
import re
import shutil
from collections.abc import Callable, Sequence
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
    asked: Sequence[str]
    """The arguments with which it prints its version."""
    fits: Callable[[str], bool]
    """Which versions serve as well."""


def ensure(*, for_tests: bool) -> None:
    """Have the programs in the tool's own folder of programs: what a cluster needs, or what tests need besides."""
    for program in (*FOR_CLUSTERS, *(FOR_TESTS if for_tests else ())):
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


def printed_version(command: Sequence[str]) -> str | None:
    """The first version that a program prints; none if it fails, as one that was made for another machine does."""
    if not succeeds(command, deadline=20):
        return None
    found = re.search(r"v\d+\.\d+\.\d+", run(command, deadline=20))
    return found.group() if found else None


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
    version = printed_version([found, *program.asked]) if found else None
    return Path(found) if found and version and program.fits(version) else None


def _a_minor_version_apart(version: str) -> bool:
    # As far as kubectl and the API server may be apart by Kubernetes' own policy.
    return minor_distance(version, versions.KUBERNETES) <= 1


def _from(oldest: str) -> Callable[[str], bool]:
    return lambda version: at_least(version, oldest)


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = re.findall(r"\d+", version)[:3]
    return int(major), int(minor), int(patch)


def _built(package: str, version: str) -> Callable[[], Path]:
    return lambda: golang.install(package, version)


FOR_CLUSTERS = (
    Program(
        name="kubectl",
        version=versions.KUBERNETES,
        build=lambda: node_image.KUBERNETES.build() / "kubectl",
        asked=("version", "--client"),
        fits=_a_minor_version_apart,
    ),
    Program(
        name="kind",
        version=versions.KIND,
        build=_built("sigs.k8s.io/kind", versions.KIND),
        asked=("version",),
        fits=_from("v0.30.0"),
    ),
    Program(
        name="helm",
        version=versions.HELM,
        build=_built("helm.sh/helm/v3/cmd/helm", versions.HELM),
        asked=("version",),
        fits=_from("v3.16.0"),
    ),
)
FOR_TESTS = (
    Program(
        name="kubeconform",
        version=versions.KUBECONFORM,
        build=_built("github.com/yannh/kubeconform/cmd/kubeconform", versions.KUBECONFORM),
        asked=("-v",),
        fits=_from("v0.6.7"),
    ),
    Program(
        name="kwok",
        version=versions.KWOK,
        build=_built("sigs.k8s.io/kwok/cmd/kwok", versions.KWOK),
        asked=("--version",),
        fits=_from("v0.6.0"),
    ),
    Program(
        name="vegeta",
        version=versions.VEGETA,
        build=_built("github.com/tsenart/vegeta/v12", versions.VEGETA),
        asked=("-version",),
        fits=_from("v12.8.0"),
    ),
)
