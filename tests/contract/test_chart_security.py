"""What the chart's pods may do on a node, and what the operator may do in the cluster."""

from typing import Any

import pytest
from support import chart
from support.chart import render
from support.pod_security import loose_ends, violations

WRITES = {"create", "update", "patch", "delete", "deletecollection", "*"}


def _pods(values: str) -> list[Any]:
    return [
        pytest.param(owner["spec"]["template"]["spec"], id=f"{values or 'default'}-{owner['metadata']['name']}")
        for owner in chart.pod_owners(render(values=values))
    ]


@pytest.mark.parametrize("spec", [pod for values in ("", *chart.VALUES) for pod in _pods(values)])
def test_every_pod_runs_restricted_with_a_read_only_root_and_bounded_memory(spec: dict[str, Any]) -> None:
    assert violations(spec) == []
    assert loose_ends(spec) == []


def test_the_judge_of_pods_finds_what_restricted_refuses() -> None:
    careless = {
        "hostNetwork": True,
        "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
        "containers": [{"name": "app", "securityContext": {"privileged": True}, "ports": [{"hostPort": 80}]}],
    }
    assert violations(careless) == [
        "shares the node's hostNetwork",
        "volume node is of a kind that restricted refuses",
        "app: is privileged",
        "app: may gain privileges",
        "app: keeps capabilities",
        "app: may run as root",
        "app: has no seccomp profile",
        "app: takes a port of the node",
    ]


def test_envoys_run_restricted_as_well() -> None:
    proxy = chart.find(render(), "EnvoyProxy", "loadline")
    deployment = proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    container = deployment["container"]["securityContext"]
    assert container["readOnlyRootFilesystem"] is True
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert deployment["pod"]["securityContext"]["runAsNonRoot"] is True


def test_only_the_operator_holds_a_token_of_the_api() -> None:
    holders = [
        owner["metadata"]["name"]
        for owner in chart.pod_owners(render())
        if owner["spec"]["template"]["spec"]["automountServiceAccountToken"]
    ]
    assert holders == ["loadline-operator"]


def _rules(rendered: list[chart.Manifest]) -> list[dict[str, Any]]:
    return [
        rule
        for m in rendered
        if m["kind"] in {"ClusterRole", "Role"} and m["metadata"]["name"].startswith("loadline-operator")
        for rule in m["rules"]
    ]


@pytest.mark.parametrize("values", ["", "external"])
def test_the_operator_writes_secrets_and_cannot_read_them(values: str) -> None:
    verbs = {v for rule in _rules(render(values=values)) if "secrets" in rule["resources"] for v in rule["verbs"]}
    assert verbs == {"create", "patch"}


@pytest.mark.parametrize("values", ["", "external"])
def test_the_operator_is_granted_no_wildcard_and_no_way_to_grant(values: str) -> None:
    for rule in _rules(render(values=values)):
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not {"bind", "escalate", "impersonate"} & set(rule["verbs"])
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"]


def test_the_operator_changes_no_model_deployment_but_its_status() -> None:
    written = {
        resource
        for rule in _rules(render())
        if "loadline.dev" in rule["apiGroups"] and WRITES & set(rule["verbs"])
        for resource in rule["resources"]
    }
    assert written == {"modeldeployments/status", "modeldeployments/finalizers"}


def test_with_watched_namespaces_the_operator_writes_there_and_nowhere_else() -> None:
    rendered = render(values="external")
    cluster_wide = chart.find(rendered, "ClusterRole", "loadline-operator")["rules"]
    assert not WRITES & {verb for rule in cluster_wide for verb in rule["verbs"]}
    homes = {
        m["metadata"]["namespace"]
        for m in rendered
        if m["kind"] == "Role" and any("deployments" in rule["resources"] for rule in m["rules"])
    }
    assert homes == {"team-a", "team-b"}
    operator = chart.find(rendered, "Deployment", "loadline-operator")
    env = {e["name"]: e.get("value") for e in operator["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["LOADLINE_WATCH_NAMESPACES"] == "team-a,team-b"


def test_a_secret_never_stands_in_a_pod_as_a_plain_value() -> None:
    rendered = render()
    secrets = {
        value
        for m in rendered
        if m["kind"] == "Secret" and m["metadata"]["name"] != "loadline-store-accounts"
        for key, value in m["stringData"].items()
        if key == "secretAccessKey"
    }
    assert len(secrets) == 3
    assert not [m for m in chart.pod_owners(rendered) if any(secret in str(m) for secret in secrets)]
