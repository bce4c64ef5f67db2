"""Whether model pods get out to where their files come from, and nowhere else."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from loadline_contracts import labels
from loadline_contracts.modeldeployment import ModelDeployment
from loadline_operators.modeldeployment.children import network_policy
from loadline_operators.planning import Manifest, Observed
from support.network_policy import Connection, Outside, Pod, evaluate
from support.worlds import SETTINGS, look, parent, resolved, with_status

NAMESPACES: dict[str, dict[str, str]] = {}
HOME = parent().metadata.namespace
INTERNET = Outside(address="203.0.113.7")
METADATA = Outside(address="169.254.169.254")
OWN_STORE = Pod(namespace="loadline-system", labels={"app.kubernetes.io/name": "loadline-store"})
OPERATOR = Pod(namespace="loadline-system", labels={"app.kubernetes.io/name": "loadline-operator"})
NAME_SERVER = Pod(namespace="kube-system", labels={})
MINIO = Pod(namespace="minio", labels={"app": "minio"})
STRANGER = Pod(namespace="elsewhere", labels={"app": "minio"})
NEIGHBOUR = Pod(namespace=HOME, labels={"app": "proxy"})


def at(endpoint: str) -> dict[str, Any]:
    return {"endpoint": endpoint, "own": False}


CLOUD = at("")
AMBIENT = {**CLOUD, "reader_access_key_id": ""}


def policy(subject: ModelDeployment, store: Mapping[str, Any]) -> Manifest:
    return network_policy(subject, replace(SETTINGS, store=replace(SETTINGS.store, **store)))


def goes_out(made: Manifest, to: Pod | Outside, port: int, protocol: str = "TCP") -> bool:
    pod = Pod(namespace=HOME, labels={labels.MODEL_DEPLOYMENT: parent().metadata.name})
    way = Connection(source=pod, destination=to, port=port, protocol=protocol)
    return evaluate([made], way, namespaces=NAMESPACES)


@pytest.mark.parametrize(
    ("store", "to", "port"),
    [
        pytest.param({}, OWN_STORE, 7070, id="the-charts-own"),
        pytest.param(at("http://minio.minio:9000"), MINIO, 9001, id="a-service-on-any-port-of-its-pods"),
        pytest.param(at("http://minio.minio.svc:9000"), MINIO, 9000, id="a-service-by-a-longer-name"),
        pytest.param(at("http://minio.minio.svc.cluster.local"), MINIO, 9000, id="a-service-by-its-whole-name"),
        pytest.param(at("http://minio-0.minio.minio.svc:9000"), MINIO, 9000, id="a-pod-of-a-headless-service"),
        pytest.param(at("http://10.0.0.5:9000"), Outside(address="10.0.0.5"), 9000, id="an-address"),
        pytest.param(at("http://[fd00::5]:9000"), Outside(address="fd00::5"), 9000, id="an-ipv6-address"),
        pytest.param(at("https://s3.example.com:9000"), INTERNET, 9000, id="a-host-outside"),
        pytest.param(at("https://s3.example.com"), INTERNET, 443, id="https-without-a-port"),
        pytest.param(at("http://s3.example.com/"), INTERNET, 80, id="http-without-a-port"),
        pytest.param(CLOUD, INTERNET, 443, id="a-cloud-with-a-key"),
        pytest.param(AMBIENT, INTERNET, 443, id="a-cloud-without"),
        pytest.param(AMBIENT, METADATA, 80, id="who-a-pod-is"),
        pytest.param({**CLOUD, "url": "gs://models"}, METADATA, 80, id="keys-are-for-s3"),
        pytest.param({**AMBIENT, **at("https://10.0.0.5:9000")}, INTERNET, 443, id="a-token-for-a-store-elsewhere"),
    ],
)
def test_pods_reach_the_store_that_is_named(store: dict[str, Any], to: Pod | Outside, port: int) -> None:
    assert goes_out(policy(parent(), store), to, port)


@pytest.mark.parametrize(
    ("store", "to", "port"),
    [
        pytest.param({}, OPERATOR, 7070, id="own-another-pod"),
        pytest.param({}, OWN_STORE, 22, id="own-another-port"),
        pytest.param({}, INTERNET, 443, id="own-outside"),
        pytest.param({}, METADATA, 80, id="own-metadata"),
        pytest.param(at("http://minio.minio:9000"), STRANGER, 9000, id="service-another-namespace"),
        pytest.param(at("http://minio.minio:9000"), INTERNET, 9000, id="service-outside"),
        pytest.param(at("http://minio.minio:9000"), OWN_STORE, 7070, id="service-the-charts-store"),
        pytest.param(at("http://10.0.0.5:9000"), Outside(address="10.0.0.6"), 9000, id="address-its-neighbour"),
        pytest.param(at("http://10.0.0.5:9000"), Outside(address="10.0.0.5"), 443, id="address-another-port"),
        pytest.param(at("https://s3.example.com:9000"), INTERNET, 443, id="host-another-port"),
        pytest.param(CLOUD, INTERNET, 80, id="cloud-another-port"),
        pytest.param(CLOUD, METADATA, 80, id="a-key-needs-no-metadata"),
        pytest.param(AMBIENT, INTERNET, 80, id="ambient-the-metadatas-port-elsewhere"),
        pytest.param(at("http://[nonsense"), INTERNET, 443, id="no-address"),
        pytest.param({"url": "file:///models", **AMBIENT}, INTERNET, 443, id="a-folder-is-not-called"),
    ],
)
def test_pods_reach_nobody_else(store: dict[str, Any], to: Pod | Outside, port: int) -> None:
    assert not goes_out(policy(parent(), store), to, port)


@pytest.mark.parametrize("store", [{}, CLOUD, at("http://10.0.0.5:9000")])
def test_pods_ask_name_servers_whatever_the_store(store: dict[str, Any]) -> None:
    assert goes_out(policy(parent(), store), NAME_SERVER, 53, "UDP")


def behind(**proxy: str) -> ModelDeployment:
    return parent(pod={"proxy": proxy})


@pytest.mark.parametrize(
    ("proxy", "to", "port", "answer"),
    [
        pytest.param("http://10.0.0.8:3128", Outside(address="10.0.0.8"), 3128, True, id="an-address"),
        pytest.param("http://me:word@10.0.0.8:3128", Outside(address="10.0.0.8"), 3128, True, id="with-a-password"),
        pytest.param("http://10.0.0.8:3128", INTERNET, 3128, False, id="an-address-alone"),
        pytest.param("https://proxy.example.com", INTERNET, 443, True, id="a-host"),
        pytest.param("http://proxy.example.com:3128", INTERNET, 3128, True, id="a-host-and-its-port"),
        pytest.param("http://proxy.example.com:3128", INTERNET, 80, False, id="a-host-and-no-other-port"),
        pytest.param("http://squid.minio:3128", MINIO, 3128, True, id="a-service"),
        pytest.param("http://squid.minio:3128", STRANGER, 3128, False, id="a-service-elsewhere"),
        pytest.param("http://proxy:3128", NEIGHBOUR, 3128, True, id="a-service-beside-the-pods"),
        pytest.param("http://proxy:3128", STRANGER, 3128, False, id="nobody-beside-others"),
        pytest.param("http://proxy:many", NEIGHBOUR, 80, False, id="no-port"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "https"])
def test_pods_reach_their_proxy(kind: str, proxy: str, to: Pod | Outside, port: int, *, answer: bool) -> None:
    assert goes_out(policy(behind(**{kind: proxy}), {}), to, port) is answer


def test_the_store_stays_open_beside_a_proxy() -> None:
    assert goes_out(policy(behind(https="http://10.0.0.8:3128"), {}), OWN_STORE, 7070)


def test_the_proxy_of_a_revision_that_still_has_pods_stays_open() -> None:
    before = behind(https="http://10.0.0.8:3128")
    running = look(before, Observed(resolution=resolved())).status
    moved = with_status(behind(https="http://10.0.0.9:3128"), running)

    assert goes_out(policy(moved, {}), Outside(address="10.0.0.8"), 3128)
    assert goes_out(policy(moved, {}), Outside(address="10.0.0.9"), 3128)


def test_a_way_that_two_reasons_ask_for_is_opened_once() -> None:
    both = behind(http="http://10.0.0.8:3128", https="http://10.0.0.8:3128")
    # Name servers, 443 for the store and for tokens, metadata, the proxy.
    assert len(policy(both, AMBIENT)["spec"]["egress"]) == 4


def test_what_an_installation_adds_is_open_too() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "169.254.169.252/32"}}], "ports": [{"protocol": "TCP", "port": 988}]}
    made = policy(parent(), {"extra_egress": (rule,)})

    assert goes_out(made, Outside(address="169.254.169.252"), 988)
    assert not goes_out(made, Outside(address="169.254.169.253"), 988)
