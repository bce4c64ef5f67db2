"""Who may call a model: whoever shows a token that its object asks for, and only through the gateway."""

import time
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from support import grpc_client, names
from support.cluster import Cluster, Manifest
from support.inference import ask, json_request
from support.model_deployments import Served
from support.network_policy import Connection, Pod, evaluate
from support.serving_models import ROWS, Registered
from support.tokens import AUDIENCE, Issuer
from support.waiting import wait_for

ISSUER = Issuer()


def token(**claims: object) -> str:
    return ISSUER.token(**{"team": "vision", **claims})


@pytest.fixture(scope="module")
def guarded(cluster: Cluster, gateway_url: str, model: Registered, module_namespace: str) -> Served:
    """Given a ModelDeployment that asks for tokens of one issuer, audience and team."""
    keys = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "issuer-keys", "namespace": module_namespace},
        "data": {"jwks": ISSUER.key_set()},
    }
    cluster.apply(keys)
    served = Served(cluster=cluster, gateway_url=gateway_url, namespace=module_namespace, name="guarded")
    asked = {
        "issuer": ISSUER.url,
        "audiences": [AUDIENCE],
        "jwksConfigMap": {"name": "issuer-keys"},
        "claims": [{"name": "team", "values": ["vision", "speech"]}],
    }
    served.apply(model.version(0), access={"jwt": asked})
    served.wait_until_ready(within=90)
    wait_for(lambda: status(served) == httpx.codes.UNAUTHORIZED, "the gateway asks for a token", within=30)
    return served


def status(served: Served, shown: str = "") -> int:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {shown}"} if shown else {})
    return httpx.post(served.url, content=json_request(ROWS), headers=headers, timeout=10).status_code


def test_a_caller_with_the_right_token_is_answered(guarded: Served, model: Registered) -> None:
    assert ask(guarded.url, ROWS, headers={"authorization": f"Bearer {token()}"}) == [model.answer(0)]


@pytest.mark.parametrize(
    ("shown", "answer"),
    [
        ({"iss": "https://other.example.com"}, httpx.codes.UNAUTHORIZED),
        ({"aud": "other"}, httpx.codes.FORBIDDEN),
        ({"exp": time.time() - 300}, httpx.codes.UNAUTHORIZED),
        ({"team": "sales"}, httpx.codes.FORBIDDEN),
    ],
    ids=["another issuer", "another audience", "an old one", "another team"],
)
def test_a_caller_with_a_wrong_token_is_refused(guarded: Served, shown: dict[str, object], answer: int) -> None:
    assert status(guarded, token(**shown)) == answer


def over_grpc(served: Served, shown: str = "") -> list[float]:
    """The model's answer over gRPC, by its hostname."""
    target, authority = urlsplit(served.gateway_url).netloc, served.now()["status"]["grpcAuthority"]
    return grpc_client.ask(target, served.name, ROWS, authority=authority, token=shown)


def test_a_caller_over_grpc_needs_the_token_too(guarded: Served, model: Registered) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        over_grpc(guarded)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert over_grpc(guarded, token()) == [model.answer(0)]


def policies(cluster: Cluster, namespace: str) -> list[Manifest]:
    """The NetworkPolicies of everybody who takes part."""
    return [
        policy
        for place in (namespace, names.SYSTEM, names.GATEWAY_SYSTEM)
        for policy in cluster.list("NetworkPolicy", place)
    ]


def one(cluster: Cluster, namespace: str, selector: str) -> Pod:
    """A real pod, as policies see it."""
    return Pod.of(cluster.list("Pod", namespace, selector=selector)[0])


@pytest.mark.parametrize(
    ("caller", "port", "allowed"),
    [
        ("envoy", 8080, True),
        ("envoy", 8081, True),
        ("envoy", 9090, False),
        ("operator", 9090, True),
        ("operator", 8080, False),
        ("registry", 8080, False),
        ("neighbour", 8080, False),
        ("neighbour", 9090, False),
    ],
)
def test_only_the_gateway_reaches_a_models_ports(
    guarded: Served, cluster: Cluster, caller: str, port: int, *, allowed: bool
) -> None:
    callers = {
        "envoy": one(cluster, names.GATEWAY_SYSTEM, "gateway.envoyproxy.io/owning-gateway-name=loadline"),
        "operator": one(cluster, names.SYSTEM, "app.kubernetes.io/name=loadline-operator"),
        "registry": one(cluster, names.SYSTEM, "app.kubernetes.io/name=loadline-mlflow"),
        "neighbour": Pod(namespace=guarded.namespace, labels={"app": "another"}),
    }
    model = one(cluster, guarded.namespace, f"{names.MODEL_LABEL}={guarded.name}")
    way = Connection(source=callers[caller], destination=model, port=port)

    assert evaluate(policies(cluster, guarded.namespace), way, namespaces={}) is allowed


def test_a_model_reaches_the_object_store_and_nothing_else(guarded: Served, cluster: Cluster) -> None:
    model = one(cluster, guarded.namespace, f"{names.MODEL_LABEL}={guarded.name}")
    store = one(cluster, names.SYSTEM, "app.kubernetes.io/name=loadline-store")
    registry = one(cluster, names.SYSTEM, "app.kubernetes.io/name=loadline-mlflow")
    rules = policies(cluster, guarded.namespace)

    assert evaluate(rules, Connection(source=model, destination=store, port=7070), namespaces={})
    assert not evaluate(rules, Connection(source=model, destination=registry, port=5000), namespaces={})
