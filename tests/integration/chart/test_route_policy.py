"""Whether anybody but the operator can claim another namespace's paths, hostnames or models on the Gateway."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support import names
from support.cluster import Cluster, Manifest
from support.people import Person, person

VICTIM = "payments"
OPERATOR = f"system:serviceaccount:{names.SYSTEM}:{names.OPERATOR}"
OUR_GATEWAY = {"name": names.GATEWAY, "namespace": names.SYSTEM}
PORT = {"name": "web", "port": 80}


def _prefix(path: str) -> Manifest:
    return {"path": {"type": "PathPrefix", "value": path}}


def _exact(path: str) -> Manifest:
    return {"path": {"type": "Exact", "value": path}}


def _model(value: str, *, name: str = "loadline-model", kind: str = "Exact") -> Manifest:
    return {"headers": [{"type": kind, "name": name, "value": value}]}


def _rule(*matches: Manifest) -> Manifest:
    return {"backendRefs": [PORT], **({"matches": list(matches)} if matches else {})}


def _route(home: str, *rules: Manifest, kind: str = "HTTPRoute", **spec: Any) -> Manifest:
    version = "v1" if kind in {"HTTPRoute", "GRPCRoute"} else "v1alpha2"
    return {
        "apiVersion": f"gateway.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": "web", "namespace": home},
        "spec": {"parentRefs": [OUR_GATEWAY], "rules": list(rules), **spec},
    }


@pytest.fixture(scope="module")
def home(module_namespace: str) -> str:
    """The namespace of somebody who wants more."""
    return module_namespace


@pytest.fixture(scope="module")
def thief(cluster: Cluster, home: str) -> Person:
    """A ServiceAccount that may write any route of its namespace."""
    return person(cluster, "thief", home, {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["*"]})


@pytest.fixture
def unrouted(cluster: Cluster, home: str) -> Iterator[None]:
    """Take away what a test that is allowed to has put there."""
    yield
    for kind in ("HTTPRoute", "GRPCRoute"):
        cluster.delete(kind, "web", home)


def _at(home: str, route: Manifest) -> Manifest:
    """A route in which HOME stands for the namespace."""
    found: Manifest = json.loads(json.dumps(route).replace("HOME", home))
    return found


STOLEN_PATHS = {
    "the exact path of a model": [_rule(_exact(f"/{VICTIM}/fraud/v2/models/fraud/infer"))],
    "a longer prefix than the model's": [_rule(_prefix(f"/{VICTIM}/fraud/v2/models"))],
    "the whole namespace": [_rule(_prefix(f"/{VICTIM}"))],
    "everything": [_rule(_prefix("/"))],
    "everything, by saying nothing": [_rule()],
    "a path by a regular expression": [_rule({"path": {"type": "RegularExpression", "value": "/HOME/.*"}})],
    "a neighbour whose name begins alike": [_rule(_prefix("/HOME-too/fraud"))],
    "another path in a second match": [_rule(_prefix("/HOME/web"), _exact(f"/{VICTIM}/fraud"))],
    "another path in a second rule": [_rule(_prefix("/HOME/web")), _rule(_exact(f"/{VICTIM}/fraud"))],
    "nothing but a method": [_rule({"method": "POST"})],
}


@pytest.mark.parametrize("rules", STOLEN_PATHS.values(), ids=STOLEN_PATHS)
def test_another_namespaces_path_cannot_be_taken(thief: Person, home: str, rules: list[Manifest]) -> None:
    said = thief.is_refused(_at(home, _route(home, *rules)))
    assert "may claim only its own paths: give every rule matches" in said
    assert f"a value that begins with /{home}/" in said


@pytest.mark.parametrize(
    "hostname",
    [
        f"fraud.{VICTIM}.{names.MODELS_DOMAIN}",
        f"*.{VICTIM}.{names.MODELS_DOMAIN}",
        f"*.{names.MODELS_DOMAIN}",
        f"not-HOME.{names.MODELS_DOMAIN}",
        "fraud.example.com",
    ],
)
@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_another_namespaces_hostname_cannot_be_taken(thief: Person, home: str, hostname: str, kind: str) -> None:
    wanted = hostname.replace("HOME", home)
    said = thief.is_refused(_route(home, _rule(), kind=kind, hostnames=[wanted]))
    assert f"hostname {wanted} does not belong to namespace {home}" in said
    assert f"use a hostname that ends with .{home}.{names.MODELS_DOMAIN}" in said


STOLEN_MODELS = {
    "another namespace's model": [_rule(_model(f"{VICTIM}/fraud"))],
    "the same by another spelling of the header": [_rule(_model(f"{VICTIM}/fraud", name="Loadline-Model"))],
    "every model": [_rule()],
    "models by a regular expression": [_rule(_model("HOME/.*", kind="RegularExpression"))],
    "models by another header": [_rule(_model("HOME/web", name="x-model"))],
    "every model of a method": [_rule({"method": {"service": "inference.GRPCInferenceService"}})],
    "another model in a second rule": [_rule(_model("HOME/web")), _rule(_model(f"{VICTIM}/fraud"))],
}


@pytest.mark.parametrize("rules", STOLEN_MODELS.values(), ids=STOLEN_MODELS)
def test_another_namespaces_model_cannot_be_taken_over_grpc(thief: Person, home: str, rules: list[Manifest]) -> None:
    route = _route(home, *rules, kind="GRPCRoute")
    said = thief.is_refused(_at(home, route))
    assert "give every rule matches with the header loadline-model, type Exact" in said


@pytest.mark.usefixtures("unrouted")
def test_an_allowed_route_cannot_be_changed_into_a_theft(thief: Person, home: str) -> None:
    thief.apply(_route(home, _rule(_prefix(f"/{home}/web"))))
    said = thief.is_refused(_route(home, _rule(_exact(f"/{VICTIM}/fraud"))))
    assert "may claim only its own paths" in said


@pytest.mark.usefixtures("unrouted")
def test_a_route_of_another_gateway_is_left_alone_until_it_names_ours(thief: Person, home: str) -> None:
    elsewhere = _route(home, _rule(_exact(f"/{VICTIM}/fraud")), parentRefs=[{"name": "of-my-own"}])
    thief.apply(elsewhere)
    elsewhere["spec"]["parentRefs"].append(OUR_GATEWAY)
    assert "may claim only its own paths" in thief.is_refused(elsewhere)


def test_other_kinds_of_routes_are_not_taken(thief: Person, home: str) -> None:
    said = thief.is_refused(_route(home, {"backendRefs": [PORT]}, kind="TCPRoute"))
    assert "takes HTTPRoute and GRPCRoute only" in said


@pytest.mark.usefixtures("unrouted")
@pytest.mark.parametrize(
    "route",
    [
        pytest.param(_route("HOME", _rule(_prefix("/HOME/web"), _exact("/HOME/health"))), id="own-paths"),
        pytest.param(_route("HOME", _rule(), hostnames=[f"web.HOME.{names.MODELS_DOMAIN}"]), id="own-hostname"),
        pytest.param(_route("HOME", _rule(_model("HOME/web")), kind="GRPCRoute"), id="own-model-over-grpc"),
        pytest.param(
            _route("HOME", _rule(), kind="GRPCRoute", hostnames=[f"web.HOME.{names.MODELS_DOMAIN}"]),
            id="own-hostname-over-grpc",
        ),
    ],
)
def test_what_is_its_own_a_namespace_may_claim(thief: Person, home: str, route: Manifest) -> None:
    thief.apply(_at(home, route))


def test_not_even_an_administrator_takes_a_path_by_mistake(cluster: Cluster, home: str) -> None:
    said = cluster.refusal(_route(home, _rule(_prefix(f"/{VICTIM}/fraud"))))
    assert "may claim only its own paths" in said


def test_the_operators_routes_pass_and_can_be_labelled_and_collected(cluster: Cluster, home: str) -> None:
    route = _route(home, _rule(_prefix("/")), hostnames=["fraud.example.com"])
    Person(cluster=cluster, name=OPERATOR).apply(route)
    cluster.kubectl("label", "httproute", "web", "team=risk", "--namespace", home)
    cluster.kubectl("delete", "httproute", "web", "--namespace", home, "--cascade=foreground")
    assert cluster.get("HTTPRoute", "web", home) is None
