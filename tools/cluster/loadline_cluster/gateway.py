"""How does Envoy Gateway come into the cluster?"""

import json
import shutil
from pathlib import Path
from typing import Any

from loadline_cluster import cluster, golang, paths, programs, third_party, versions
from loadline_cluster.debian import temporary_folder
from loadline_cluster.run import run
from loadline_cluster.steps import step

NAMESPACE = "envoy-gateway-system"
RELEASE = "envoy-gateway"
DEADLINE = 240


def ensure(name: str) -> None:
    """Install or upgrade the CRDs of the Gateway API and Envoy Gateway, then Envoy Gateway itself."""
    why = "traffic reaches models through it; two controllers, so that draining one's node freezes no endpoints"
    with step(f"Envoy Gateway {versions.ENVOY_GATEWAY}", why) as under_way:
        if _installed(name) == _wanted():
            under_way.already()
            return
        with temporary_folder("gateway") as folder:
            chart = _chart(folder)
            _apply_crds(name, chart / "charts/crds/crds")
            _install(name, chart, folder)


def values() -> dict[str, Any]:
    """What differs from the defaults of Envoy Gateway's chart."""
    return {
        "global": {
            "images": {
                "envoyGateway": {"image": third_party.ENVOY_GATEWAY.image, "pullPolicy": "IfNotPresent"},
                "envoyProxy": {"image": third_party.ENVOY.image, "pullPolicy": "IfNotPresent"},
            }
        },
        # By default it logs every object at every turn, which with many routes costs as much as the turns themselves.
        "config": {"envoyGateway": {"logging": {"level": {"default": "warn"}}}},
        "deployment": {
            "replicas": 2,
            "envoyGateway": {"readinessProbe": _readiness()},
            "pod": {"topologySpreadConstraints": [_spread()]},
        },
        "podDisruptionBudget": {"minAvailable": 1},
    }


def _readiness() -> dict[str, Any]:
    # The chart's own asks every 10 s, which is what an installation would mostly wait for.
    return {
        "httpGet": {"path": "/readyz", "port": 8081},
        "periodSeconds": 1,
        "successThreshold": 1,
        "timeoutSeconds": 1,
    }


def _spread() -> dict[str, Any]:
    # DoNotSchedule would block the controllers' own rolling update on two workers.
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"control-plane": "envoy-gateway"}},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _chart(folder: Path) -> Path:
    """The chart as its own release fills it in: the module holds it with two places left open."""
    module = golang.module_folder("github.com/envoyproxy/gateway", versions.ENVOY_GATEWAY)
    chart = folder / "chart"
    for file in (path for path in (module / "charts/gateway-helm").rglob("*") if path.is_file()):
        place = chart / file.relative_to(module / "charts/gateway-helm")
        shutil.copyfile(file, paths.made(place.parent) / place.name)
    template = (chart / "values.tmpl.yaml").read_text()
    filled = template.replace("${GatewayImage}", third_party.ENVOY_GATEWAY.image)
    (chart / "values.yaml").write_text(filled.replace("${GatewayImagePullPolicy}", "IfNotPresent"))
    return chart


def _apply_crds(name: str, folder: Path) -> None:
    # Helm installs CRDs once and never upgrades them; some are too large for a client-side apply.
    apply = ("apply", "--server-side", "--force-conflicts", "-R", "-f", str(folder))
    cluster.kubectl(name, *apply, deadline=120)
    cluster.kubectl(name, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s", deadline=80)


def _install(name: str, chart: Path, folder: Path) -> None:
    file = folder / "values.json"
    file.write_text(json.dumps(values()))
    command = ["upgrade", "--install", RELEASE, str(chart), "-n", NAMESPACE, "--create-namespace", "--skip-crds"]
    command += ["-f", str(file), "--description", _wanted(), "--wait", f"--timeout={DEADLINE}s"]
    remedy = f"`kubectl --context kind-{name} -n {NAMESPACE} get pods,events` says what it waits for"
    _helm(name, *command, remedy=remedy)


def _wanted() -> str:
    return f"{versions.ENVOY_GATEWAY} {third_party.ENVOY_GATEWAY.recipe} {json.dumps(values(), sort_keys=True)}"


def _installed(name: str) -> str:
    """The description of the release in force, which says what it was made of."""
    releases = json.loads(_helm(name, "list", "-n", NAMESPACE, "--deployed", "-o", "json"))
    if not any(release["name"] == RELEASE for release in releases):
        return ""
    status = json.loads(_helm(name, "status", RELEASE, "-n", NAMESPACE, "-o", "json"))
    return str(status["info"]["description"])


def _helm(name: str, *arguments: str, remedy: str = "") -> str:
    command = [programs.path("helm"), "--kubeconfig", paths.kubeconfig(name), "--kube-context", f"kind-{name}"]
    return run([*command, *arguments], deadline=DEADLINE + 30, remedy=remedy)
