"""Whether somebody who may write ModelDeployments alone can take names of the Gateway or of another namespace."""

from collections.abc import Iterator
from typing import Any

import pytest
from support import names
from support.cluster import Cluster, Manifest
from support.people import Person, person

VICTIM = "payments"
GATEWAY_SERVICE = f"{names.GATEWAY}-gateway.{names.GATEWAY_SYSTEM}"
OF_THE_GATEWAY = [
    "localhost",
    "models.localhost",
    "127.0.0.1",
    names.MODELS_DOMAIN,
    f"{names.GATEWAY}-gateway",
    GATEWAY_SERVICE,
    f"{GATEWAY_SERVICE}.svc",
    f"{GATEWAY_SERVICE}.svc.cluster.local",
    "another-service.team-a.svc.cluster.local",
]
OF_ANOTHER_NAMESPACE = [
    f"fraud.{VICTIM}.{names.MODELS_DOMAIN}",
    f"x.{VICTIM}.{names.MODELS_DOMAIN}",
    f"{VICTIM}.{names.MODELS_DOMAIN}",
    f"x.not-HOME.{names.MODELS_DOMAIN}",
    f"HOME.{names.MODELS_DOMAIN}",
]
FREE = ["fraud.example.com", "svc.example.com", f"shop.HOME.{names.MODELS_DOMAIN}"]


def _asking(home: str, hostname: str | None, **rest: Any) -> Manifest:
    """A ModelDeployment that never gets pods, since its file is nowhere."""
    return {
        "apiVersion": "loadline.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "web", "namespace": home, **rest},
        "spec": {
            "model": {"uri": "https://127.0.0.1:1/none.onnx", "sha256": "a" * 64},
            "routing": {"hostname": hostname.replace("HOME", home)} if hostname else {},
        },
    }


@pytest.fixture(scope="module")
def home(module_namespace: str) -> str:
    """The namespace of somebody who wants more."""
    return module_namespace


@pytest.fixture(scope="module")
def thief(cluster: Cluster, home: str) -> Person:
    """A ServiceAccount that may write ModelDeployments of its namespace, and not one route."""
    return person(cluster, "thief", home, {"apiGroups": ["loadline.dev"], "resources": ["modeldeployments"]})


@pytest.fixture
def unserved(cluster: Cluster, home: str) -> Iterator[None]:
    """Take away what a test that is allowed to has put there."""
    yield
    cluster.delete("ModelDeployment", "web", home)


@pytest.mark.parametrize("hostname", OF_THE_GATEWAY)
def test_a_name_of_the_gateway_cannot_be_taken(thief: Person, home: str, hostname: str) -> None:
    said = thief.is_refused(_asking(home, hostname))
    assert f"spec.routing.hostname {hostname} may be a name of Gateway {names.SYSTEM}/{names.GATEWAY} itself" in said
    assert f"none and call /{home}/web" in said


@pytest.mark.parametrize("hostname", OF_ANOTHER_NAMESPACE)
def test_a_hostname_of_another_namespace_cannot_be_taken(thief: Person, home: str, hostname: str) -> None:
    said = thief.is_refused(_asking(home, hostname))
    assert f"spec.routing.hostname {hostname.replace('HOME', home)} does not belong to namespace {home}" in said
    assert f"use a hostname that ends with .{home}.{names.MODELS_DOMAIN}" in said


@pytest.mark.usefixtures("unserved")
def test_an_allowed_hostname_cannot_be_changed_into_a_theft(thief: Person, home: str) -> None:
    thief.apply(_asking(home, "fraud.example.com"))
    assert "may be a name of Gateway" in thief.is_refused(_asking(home, "localhost"))


@pytest.mark.usefixtures("unserved")
def test_an_object_without_a_hostname_cannot_be_changed_into_a_theft(thief: Person, home: str) -> None:
    thief.apply(_asking(home, None))
    said = thief.is_refused(_asking(home, f"x.{VICTIM}.{names.MODELS_DOMAIN}"))
    assert f"does not belong to namespace {home}" in said


def test_not_even_an_administrator_takes_the_gateways_name_by_mistake(cluster: Cluster, home: str) -> None:
    assert "may be a name of Gateway" in cluster.refusal(_asking(home, "localhost"))


@pytest.mark.parametrize("hostname", FREE)
def test_any_other_hostname_may_be_asked_for(thief: Person, home: str, hostname: str) -> None:
    thief.apply(_asking(home, hostname), "--dry-run=server")


@pytest.mark.usefixtures("unserved")
def test_an_object_with_a_hostname_can_be_labelled_and_collected(cluster: Cluster, thief: Person, home: str) -> None:
    thief.apply(_asking(home, "fraud.example.com"))
    thief.apply(_asking(home, "fraud.example.com", labels={"team": "risk"}))
    cluster.kubectl("delete", "modeldeployment", "web", "--namespace", home, "--cascade=foreground")
    assert cluster.get("ModelDeployment", "web", home) is None
