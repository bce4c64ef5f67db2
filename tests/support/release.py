"""How a test changes the chart that is installed on the cluster."""

import json
from typing import Any

from support import names
from support.cluster import Cluster
from support.programs import ROOT

CHART = ROOT / "charts/loadline"


def values(cluster: Cluster) -> dict[str, Any]:
    """The values that the release was installed with."""
    found: dict[str, Any] = json.loads(_helm(cluster, "get", "values", names.RELEASE, "--output=json"))
    return found


def upgrade(cluster: Cluster, *changed: str) -> None:
    """Upgrade the release with some values changed, and wait until it runs."""
    settings = [f"--set-string={change}" for change in changed]
    _helm(cluster, "upgrade", names.RELEASE, str(CHART), "--reuse-values", *settings, "--wait", "--timeout=4m")


def render(cluster: Cluster, release: str, namespace: str, changed: dict[str, Any]) -> str:
    """What the chart makes of these values, as YAML documents; nothing is installed."""
    version = cluster.api.get("/version").json()["gitVersion"]
    arguments = ["template", release, str(CHART), f"--namespace={namespace}", f"--kube-version={version}"]
    return cluster.run("helm", *arguments, "--values=-", given=json.dumps(changed), within=60)


def _helm(cluster: Cluster, *arguments: str) -> str:
    where = [f"--kube-context={cluster.context}", f"--namespace={names.SYSTEM}"]
    return cluster.run("helm", *arguments, *where, within=300)
