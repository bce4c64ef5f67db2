"""Who may talk to whom, judged on the chart's policies against the labels of its own pods."""

from typing import Any

import pytest
from loadline_contracts import labels
from loadline_operators.main import plan_settings
from loadline_operators.modeldeployment.children import network_policy
from loadline_operators.settings import Settings
from support import chart, names
from support.chart import render
from support.network_policy import Connection, Outside, Pod, evaluate
from support.worlds import parent

ENVOY_LABELS = {
    "gateway.envoyproxy.io/owning-gateway-name": names.GATEWAY,
    "gateway.envoyproxy.io/owning-gateway-namespace": names.SYSTEM,
}
NAMESPACES: dict[str, dict[str, str]] = {names.SYSTEM: {}, names.GATEWAY_SYSTEM: {}, "team-a": {}, "kube-system": {}}
RENDERED = render()
POLICIES = [m for m in RENDERED if m["kind"] == "NetworkPolicy"]


def _own(kind: str, name: str) -> Pod:
    return Pod.of(chart.find(RENDERED, kind, name))


OPERATOR = _own("Deployment", names.OPERATOR)
MLFLOW = _own("Deployment", names.MLFLOW)
STORE = _own("Deployment", names.STORE)
SETUP = _own("Job", "loadline-store-setup")
ENVOY = Pod(namespace=names.GATEWAY_SYSTEM, labels=ENVOY_LABELS)
OTHER_ENVOY = Pod(
    namespace=names.GATEWAY_SYSTEM, labels={**ENVOY_LABELS, "gateway.envoyproxy.io/owning-gateway-name": "x"}
)
MODEL = Pod(namespace="team-a", labels={"app.kubernetes.io/name": "loadline-serving"})
TRAINER = Pod(namespace="team-a", labels={"loadline.dev/mlflow-client": "true"})
STRANGER = Pod(namespace="team-a", labels={"app": "notebook"})
NEIGHBOUR = Pod(namespace=names.SYSTEM, labels={"app": "debug"})
NAME_SERVER = Pod(namespace="kube-system", labels={"k8s-app": "kube-dns"})
API_SERVER = Outside(address="172.18.0.2")
INTERNET = Outside(address="203.0.113.7")

ALLOWED: list[tuple[Any, Any, int, str]] = [
    (OPERATOR, MLFLOW, 5000, "TCP"),
    (OPERATOR, STORE, 7070, "TCP"),
    (OPERATOR, ENVOY, 19004, "TCP"),
    (OPERATOR, MODEL, 9090, "TCP"),
    (OPERATOR, API_SERVER, 6443, "TCP"),
    (OPERATOR, INTERNET, 443, "TCP"),
    (OPERATOR, NAME_SERVER, 53, "UDP"),
    (SETUP, STORE, 7070, "TCP"),
    (SETUP, NAME_SERVER, 53, "UDP"),
    (MODEL, STORE, 7070, "TCP"),
    (TRAINER, MLFLOW, 5000, "TCP"),
    (STRANGER, ENVOY, 10080, "TCP"),
    (INTERNET, ENVOY, 10080, "TCP"),
    (STRANGER, OPERATOR, 9090, "TCP"),
    (STRANGER, ENVOY, 19001, "TCP"),
    (ENVOY, MODEL, 8080, "TCP"),
    (ENVOY, MODEL, 8081, "TCP"),
]
REFUSED: list[tuple[Any, Any, int, str]] = [
    (STRANGER, ENVOY, 19004, "TCP"),
    (NEIGHBOUR, ENVOY, 19004, "TCP"),
    (MODEL, ENVOY, 19004, "TCP"),
    (INTERNET, ENVOY, 19004, "TCP"),
    (STRANGER, ENVOY, 19000, "TCP"),
    (INTERNET, ENVOY, 19001, "TCP"),
    (STRANGER, MLFLOW, 5000, "TCP"),
    (NEIGHBOUR, MLFLOW, 5000, "TCP"),
    (MODEL, MLFLOW, 5000, "TCP"),
    (ENVOY, MLFLOW, 5000, "TCP"),
    (STRANGER, STORE, 7070, "TCP"),
    (TRAINER, STORE, 7070, "TCP"),
    (ENVOY, STORE, 7070, "TCP"),
    (MLFLOW, STORE, 7070, "TCP"),
    (STRANGER, OPERATOR, 8081, "TCP"),
    (INTERNET, OPERATOR, 9090, "TCP"),
    (MLFLOW, INTERNET, 443, "TCP"),
    (STORE, INTERNET, 443, "TCP"),
    (STORE, NAME_SERVER, 53, "UDP"),
    (SETUP, API_SERVER, 6443, "TCP"),
    (OPERATOR, STRANGER, 8000, "TCP"),
    (OPERATOR, MODEL, 8080, "TCP"),
    (OPERATOR, OTHER_ENVOY, 19004, "TCP"),
    (STRANGER, SETUP, 80, "TCP"),
]


def _open(source: Pod | Outside, destination: Pod | Outside, port: int, protocol: str) -> bool:
    connection = Connection(source=source, destination=destination, port=port, protocol=protocol)
    return evaluate(POLICIES, connection, namespaces=NAMESPACES)


@pytest.mark.parametrize(("source", "destination", "port", "protocol"), ALLOWED)
def test_what_has_to_talk_may_talk(source: Any, destination: Any, port: int, protocol: str) -> None:
    assert _open(source, destination, port, protocol)


@pytest.mark.parametrize(("source", "destination", "port", "protocol"), REFUSED)
def test_what_has_no_need_to_talk_may_not(source: Any, destination: Any, port: int, protocol: str) -> None:
    assert not _open(source, destination, port, protocol)


def test_every_pod_of_the_chart_is_under_a_policy_in_both_directions() -> None:
    for owner in chart.pod_owners(RENDERED):
        pod = Pod.of(owner)
        for way in (
            Connection(source=STRANGER, destination=pod, port=1),
            Connection(source=pod, destination=INTERNET, port=1),
        ):
            assert not evaluate(POLICIES, way, namespaces=NAMESPACES), f"{owner['metadata']['name']}: {way}"


def test_an_mlflow_with_a_database_elsewhere_reaches_it() -> None:
    rendered = render(values="external")
    policies = [m for m in rendered if m["kind"] == "NetworkPolicy"]
    mlflow = Pod.of(chart.find(rendered, "Deployment", names.MLFLOW))
    assert evaluate(policies, Connection(source=mlflow, destination=INTERNET, port=5432), namespaces=NAMESPACES)


def _model_under_its_policy(settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[Pod, Any]:
    """A model pod, and the policy that the operator makes for it as the chart tells it."""
    operator = chart.find(render(settings=settings), "Deployment", names.OPERATOR)
    for variable in operator["spec"]["template"]["spec"]["containers"][0]["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "from-elsewhere"))
    subject = parent()
    pod = Pod(
        namespace=subject.metadata.namespace,
        labels={"app.kubernetes.io/name": "loadline-serving", labels.MODEL_DEPLOYMENT: subject.metadata.name},
    )
    return pod, network_policy(subject, plan_settings(Settings()))


def test_a_model_pod_and_the_charts_store_let_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pod, policy = _model_under_its_policy((), monkeypatch)
    for destination, answer in ((STORE, True), (MLFLOW, False), (OPERATOR, False), (INTERNET, False)):
        way = Connection(source=pod, destination=destination, port=7070)
        assert evaluate([*POLICIES, policy], way, namespaces=NAMESPACES) is answer


def test_a_model_pod_gets_out_to_a_store_of_ones_own_and_where_a_value_says(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = (
        "objectStore.external.url=s3://models",
        "objectStore.external.endpoint=http://203.0.113.7:9000",
        "objectStore.external.readerSecret=reader",
        "networkPolicy.modelExtraEgress[0].ports[0].port=988",
    )
    pod, policy = _model_under_its_policy(settings, monkeypatch)
    for port, answer in ((9000, True), (988, True), (7070, False), (443, False)):
        way = Connection(source=pod, destination=INTERNET, port=port)
        assert evaluate([policy], way, namespaces=NAMESPACES) is answer


def test_policies_are_left_out_when_a_value_says_so() -> None:
    assert not [m for m in render(values="minimal") if m["kind"] == "NetworkPolicy"]


def _policy(spec: dict[str, Any], namespace: str = "team-a") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": "p"}, "spec": {"podSelector": {}, **spec}}


@pytest.mark.parametrize(
    ("policies", "connection", "answer"),
    [
        pytest.param([], Connection(source=STRANGER, destination=MODEL, port=1), True, id="no-policy-is-open"),
        pytest.param(
            [_policy({})], Connection(source=STRANGER, destination=MODEL, port=1), False, id="ingress-is-implied"
        ),
        pytest.param(
            [_policy({})], Connection(source=MODEL, destination=INTERNET, port=1), True, id="egress-is-not-implied"
        ),
        pytest.param(
            [_policy({"egress": []})], Connection(source=MODEL, destination=INTERNET, port=1), False, id="egress-by-key"
        ),
        pytest.param(
            [_policy({"ingress": [{}]})], Connection(source=INTERNET, destination=MODEL, port=1), True, id="empty-rule"
        ),
        pytest.param(
            [_policy({"ingress": [{"from": [{"podSelector": {}}]}]})],
            Connection(source=NEIGHBOUR, destination=MODEL, port=1),
            False,
            id="a-pod-selector-alone-means-this-namespace",
        ),
        pytest.param(
            [_policy({"ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.7/32"]}}]}]})],
            Connection(source=INTERNET, destination=MODEL, port=1),
            False,
            id="a-hole-in-a-block",
        ),
        pytest.param(
            [_policy({"ingress": [{"ports": [{"port": 80, "endPort": 90}]}]})],
            Connection(source=INTERNET, destination=MODEL, port=85),
            True,
            id="a-range-of-ports",
        ),
        pytest.param(
            [_policy({"ingress": [{"ports": [{"port": "http"}]}]})],
            Connection(
                source=INTERNET, destination=Pod(namespace="team-a", labels={}, ports={"http": 8080}), port=8080
            ),
            True,
            id="a-port-by-name",
        ),
        pytest.param(
            [_policy({"ingress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]})],
            Connection(source=INTERNET, destination=MODEL, port=53),
            False,
            id="another-protocol",
        ),
        pytest.param(
            [_policy({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}})],
            Connection(source=INTERNET, destination=MODEL, port=1),
            True,
            id="not-selected-is-open",
        ),
    ],
)  # fmt: skip
def test_the_judge_of_connections_follows_kubernetes_rules(
    policies: list[dict[str, Any]], connection: Connection, *, answer: bool
) -> None:
    assert evaluate(policies, connection, namespaces=NAMESPACES) is answer
