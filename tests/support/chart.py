"""What the chart renders from given values."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from support import names
from support.programs import program

Manifest = dict[str, Any]

CHART = Path(__file__).parents[2] / "charts" / "loadline"
VALUES = {path.stem.removesuffix("-values"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
KUBERNETES = "1.36.3"
POD_OWNERS = {"Deployment", "Job", "StatefulSet", "DaemonSet"}


class ChartRefusedError(ValueError):
    """Helm refused to render; the message is Helm's own."""


def arguments(*, values: str = "", settings: Sequence[str] = ()) -> list[str]:
    """Helm's arguments for a values file of ci/ and further settings."""
    chosen = ["--values", str(VALUES[values])] if values else []
    return [*chosen, *(part for setting in settings for part in ("--set", setting))]


def render(*, values: str = "", settings: Sequence[str] = ()) -> list[Manifest]:
    """Every object that the chart makes from these values."""
    command = ["template", names.RELEASE, str(CHART), "--namespace", names.SYSTEM, "--kube-version", KUBERNETES]
    return [
        found for found in yaml.safe_load_all(helm(*command, *arguments(values=values, settings=settings))) if found
    ]


def helm(*command: str) -> str:
    """Run helm without a cluster."""
    done = subprocess.run([program("helm"), *command], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise ChartRefusedError(done.stdout + done.stderr)
    return done.stdout


def find(rendered: Sequence[Manifest], kind: str, name: str) -> Manifest:
    """The one object of a kind and name."""
    found = [m for m in rendered if m["kind"] == kind and m["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def pod_owners(rendered: Sequence[Manifest]) -> list[Manifest]:
    """Every object that makes pods."""
    return [manifest for manifest in rendered if manifest["kind"] in POD_OWNERS]
