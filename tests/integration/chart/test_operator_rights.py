"""What the API server lets the operator's ServiceAccount do, and what not."""

import pytest
from support import names
from support.cluster import Cluster

OPERATOR = f"system:serviceaccount:{names.SYSTEM}:{names.OPERATOR}"
REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

NEEDED = [
    ("list", "loadline.dev", "modeldeployments", "team-a", ""),
    ("patch", "loadline.dev", "modeldeployments/status", "team-a", ""),
    ("patch", "apps", "deployments", "team-a", ""),
    ("delete", "gateway.networking.k8s.io", "httproutes", "team-a", ""),
    ("patch", "gateway.envoyproxy.io", "backendtrafficpolicies", "team-a", ""),
    ("patch", "networking.k8s.io", "networkpolicies", "team-a", ""),
    ("patch", "", "secrets", "team-a", ""),
    ("create", "events.k8s.io", "events", "team-a", ""),
    ("watch", "", "nodes", "", ""),
    ("list", "", "pods", names.GATEWAY_SYSTEM, ""),
    ("create", "coordination.k8s.io", "leases", names.SYSTEM, ""),
    ("update", "coordination.k8s.io", "leases", names.SYSTEM, names.OPERATOR),
]
DENIED = [
    ("get", "", "secrets", "team-a", ""),
    ("list", "", "secrets", "", ""),
    ("get", "", "secrets", names.SYSTEM, "loadline-store-admin"),
    ("delete", "", "secrets", "team-a", ""),
    ("create", "", "pods", "team-a", ""),
    ("create", "", "pods/exec", "team-a", ""),
    ("patch", "loadline.dev", "modeldeployments", "team-a", ""),
    ("delete", "loadline.dev", "modeldeployments", "team-a", ""),
    ("update", "coordination.k8s.io", "leases", names.SYSTEM, "another"),
    ("update", "coordination.k8s.io", "leases", "kube-system", ""),
    ("patch", "gateway.networking.k8s.io", "gateways", names.SYSTEM, ""),
    ("patch", "gateway.envoyproxy.io", "envoyproxies", names.SYSTEM, ""),
    ("patch", "", "nodes", "", ""),
    ("create", "rbac.authorization.k8s.io", "rolebindings", "team-a", ""),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions", "", ""),
    ("create", "", "serviceaccounts/token", "team-a", ""),
    ("patch", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", ""),
]


def _may(cluster: Cluster, asked: tuple[str, str, str, str, str]) -> bool:
    verb, group, resource, namespace, name = asked
    kind, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": kind, "subresource": subresource}
    place = {"namespace": namespace, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": OPERATOR, "resourceAttributes": {**attributes, **place}},
    }
    answer = cluster.api.post(REVIEW, json=review)
    answer.raise_for_status()
    return bool(answer.json()["status"]["allowed"])


@pytest.mark.parametrize("asked", NEEDED, ids=" ".join)
def test_the_operator_may_do_its_work(cluster: Cluster, asked: tuple[str, str, str, str, str]) -> None:
    assert _may(cluster, asked)


@pytest.mark.parametrize("asked", DENIED, ids=" ".join)
def test_the_operator_may_do_nothing_besides(cluster: Cluster, asked: tuple[str, str, str, str, str]) -> None:
    assert not _may(cluster, asked)
