"""Whether the chart installs, upgrades and goes away as it says: tests of one release, in the order of the file."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import httpx
import pytest
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store
from support import names
from support.cluster import Manifest, condition, decoded_secret
from support.own_release import Release
from support.pod_security import loose_ends, violations
from support.store import forwarded
from support.tokens import AUDIENCE, Issuer
from support.waiting import wait_for

MODEL_FILE = f"models/{'ab' * 32}/files/model.onnx"
PIN = "pins/registry/fraud/1.json"
READ_ONLY_PORT = 19004
ISSUER = Issuer()


def test_everything_is_ready_after_an_install_and_the_gateway_is_in_force(release: Release) -> None:
    # Helm waits for its own pods; the Envoy is made by Envoy Gateway, which looks at the Gateway.
    wait_for(
        lambda: len(release.pods()) == 3 and all(_is(pod, "Ready") for pod in release.pods()),
        "operator, object store and one Envoy are ready",
        within=90,
        seen=lambda: [pod["metadata"]["name"] for pod in release.pods() if not _is(pod, "Ready")],
    )

    def programmed() -> bool:
        return _is(release.cluster.must_get("Gateway", release.name, release.namespace), "Programmed")

    wait_for(programmed, "the Gateway is programmed", within=60)
    assert release.defined()


def test_every_pod_runs_restricted_and_writes_to_no_root(release: Release) -> None:
    for pod in release.pods():
        assert violations(pod["spec"]) == [], pod["metadata"]["name"]
        assert loose_ends(pod["spec"]) == [], pod["metadata"]["name"]


@contextmanager
def _store(release: Release, role: str) -> Iterator[S3Store]:
    """The release's own bucket, as one of its identities."""
    keys = decoded_secret(release.cluster.must_get("Secret", f"{release.name}-store-{role}", release.namespace))
    with forwarded(release.cluster, f"service/{release.name}-store", 7070, namespace=release.namespace) as port:
        yield S3Store(
            names.BUCKET,
            endpoint=f"http://127.0.0.1:{port}",
            access_key_id=keys["accessKeyId"],
            secret_access_key=keys["secretAccessKey"],
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )


def test_the_writer_keeps_models_and_pins_each_version_once(release: Release) -> None:
    with _store(release, "writer") as store:
        store.put(MODEL_FILE, b"onnx")
        store.put(PIN, b"{}", mode="create")
        with pytest.raises(AlreadyExistsError):
            store.put(PIN, b"{}", mode="create")
        assert {found["path"] for found in store.list().collect()} == {MODEL_FILE, PIN}


FORBIDDEN: dict[str, Callable[[S3Store], object]] = {
    "write a model's file": lambda store: store.put(MODEL_FILE, b"other"),
    "add a file": lambda store: store.put(f"{MODEL_FILE}.too", b"other"),
    "delete a file": lambda store: store.delete(MODEL_FILE),
    "list the bucket": lambda store: store.list().collect(),
    "read what is not a model's": lambda store: store.get(PIN),
}


def test_the_reader_gets_model_files(release: Release) -> None:
    with _store(release, "reader") as store:
        assert bytes(store.get(MODEL_FILE).bytes()) == b"onnx"
        assert bytes(store.get_range(MODEL_FILE, start=1, length=2)) == b"nn"
        with pytest.raises(FileNotFoundError):
            store.get(f"{MODEL_FILE}.absent")


@pytest.mark.parametrize("attempt", FORBIDDEN.values(), ids=FORBIDDEN)
def test_the_reader_can_do_nothing_else(release: Release, attempt: Callable[[S3Store], object]) -> None:
    with _store(release, "reader") as store, pytest.raises(BaseError, match=r"AccessDenied|Access Denied"):
        attempt(store)


def test_a_stranger_without_credentials_reads_nothing(release: Release) -> None:
    with forwarded(release.cluster, f"service/{release.name}-store", 7070, namespace=release.namespace) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/{names.BUCKET}/{MODEL_FILE}").status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/config_dump?resource=dynamic_route_configs", 200),
        ("GET", "/stats?format=json&filter=cluster", 200),
        ("GET", "/clusters?format=json", 200),
        ("GET", "/", 404),
        ("GET", "/server_info", 404),
        ("GET", "/stats/prometheus", 404),
        ("GET", "/config_dump/x", 404),
        ("POST", "/stats", 404),
        ("POST", "/quitquitquit", 404),
        ("POST", "/logging?level=debug", 404),
        ("POST", "/healthcheck/fail", 404),
        ("GET", "/stats/../quitquitquit", 404),
        ("GET", "/config_dump%2f..%2fquitquitquit", 404),
    ],
)
def test_the_read_only_listener_answers_three_questions_and_no_more(
    release: Release, method: str, path: str, answer: int
) -> None:
    envoy = next(pod for pod in release.pods() if pod["metadata"]["namespace"] == names.GATEWAY_SYSTEM)
    pod = f"/api/v1/namespaces/{names.GATEWAY_SYSTEM}/pods/{envoy['metadata']['name']}:{READ_ONLY_PORT}/proxy"
    assert release.cluster.api.request(method, f"{pod}{path}").status_code == answer


def _templates(release: Release) -> dict[str, Manifest]:
    return {
        found["metadata"]["name"]: found["spec"]["template"]
        for found in release.cluster.list("Deployment", release.namespace)
    }


def _secrets(release: Release) -> dict[str, dict[str, str]]:
    made = (f"{release.name}-store-{role}" for role in ("admin", "writer", "reader", "accounts"))
    return {name: decoded_secret(release.cluster.must_get("Secret", name, release.namespace)) for name in made}


def test_an_upgrade_that_changes_nothing_moves_nothing(release: Release) -> None:
    before = _secrets(release), _templates(release), {pod["metadata"]["uid"] for pod in release.pods()}
    release.apply()
    assert (_secrets(release), _templates(release), {p["metadata"]["uid"] for p in release.pods()}) == before


def _route_to_the_store(release: Release) -> Manifest:
    """A route of the release's own namespace on its own Gateway, to the one Service there that answers anybody."""
    path = {"type": "PathPrefix", "value": f"/{release.namespace}/store"}
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
    backend = {"name": f"{release.name}-store", "port": 7070}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "store", "namespace": release.namespace},
        "spec": {
            "parentRefs": [{"name": release.name}],
            "rules": [{"matches": [{"path": path}], "filters": [rewrite], "backendRefs": [backend]}],
        },
    }


def _answer_changes_to(release: Release, status: int, *, token: str = "") -> None:
    """Call through the gateway until it answers so."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    gateway = f"service/{release.name}-gateway"
    with forwarded(release.cluster, gateway, 80, namespace=names.GATEWAY_SYSTEM) as port:
        url = f"http://127.0.0.1:{port}/{release.namespace}/store/health"
        wait_for(
            lambda: httpx.get(url, headers=headers).status_code == status, f"GET {url} is answered {status}", within=30
        )


def test_inside_the_cluster_no_token_is_asked(release: Release) -> None:
    release.cluster.apply(_route_to_the_store(release))
    _answer_changes_to(release, httpx.codes.OK)


@pytest.mark.parametrize(
    ("path", "answer"),
    [("store/health", 200), ("store%2Fhealth", 400), ("other/../store/health", 200), ("other/..%2Fstore/health", 400)],
)
def test_a_path_is_read_as_it_will_be_served(release: Release, path: str, answer: int) -> None:
    gateway = f"service/{release.name}-gateway"
    with (
        forwarded(release.cluster, gateway, 80, namespace=names.GATEWAY_SYSTEM) as port,
        closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection,
    ):
        connection.request("GET", f"/{release.namespace}/{path}")
        assert connection.getresponse().status == answer


def test_an_upgrade_brings_values_and_a_definition_into_force_and_keeps_credentials(release: Release) -> None:
    before = _secrets(release)
    release.define(short_names=["pb"])
    access = {"jwt": {"issuer": ISSUER.url, "audiences": [AUDIENCE], "jwks": ISSUER.key_set()}}
    release.apply({"operator": {"logLevel": "debug"}, "access": access})
    container = _templates(release)[f"{release.name}-operator"]["spec"]["containers"][0]
    assert {"name": "LOADLINE_LOG_LEVEL", "value": "DEBUG"} in container["env"]
    assert _secrets(release) == before
    defined = release.defined()
    assert defined is not None
    assert defined["spec"]["names"]["shortNames"] == ["pb"]


def test_with_an_issuer_every_caller_of_the_gateway_needs_its_token(release: Release) -> None:
    _answer_changes_to(release, httpx.codes.UNAUTHORIZED)
    _answer_changes_to(release, httpx.codes.OK, token=ISSUER.token())
    _answer_changes_to(release, httpx.codes.UNAUTHORIZED, token=ISSUER.token(exp=time.time() - 300))
    _answer_changes_to(release, httpx.codes.UNAUTHORIZED, token=ISSUER.token(iss="https://other.example.com"))
    _answer_changes_to(release, httpx.codes.FORBIDDEN, token=ISSUER.token(aud="other"))


def test_definitions_and_data_outlive_an_uninstall_and_are_found_by_the_next_install(release: Release) -> None:
    release.remove()
    wait_for(lambda: not release.pods(), "every pod of the release is gone", within=120)
    assert release.cluster.list("Deployment", release.namespace) == []
    assert (
        release.cluster.list("Secret", release.namespace, selector=f"app.kubernetes.io/instance={release.name}") == []
    )
    assert release.defined()
    release.apply()
    with _store(release, "reader") as store:
        assert bytes(store.get(MODEL_FILE).bytes()) == b"onnx"


def _is(found: Manifest, kind: str) -> bool:
    held = condition(found, kind)
    return held is not None and held["status"] == "True"
