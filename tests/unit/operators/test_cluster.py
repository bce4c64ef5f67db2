"""Claims about how the operator talks to the API server; a small HTTP server stands in its place."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes.client.configuration import Configuration
from loadline_operators.cluster import KINDS, PAGE, Cluster, Reference, Transport
from loadline_operators.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    NamespaceEndsError,
    NotFoundError,
    NotLeaderError,
    RejectedError,
    UnavailableError,
)
from typing_extensions import override

DEPLOYMENT = Reference(kind="Deployment", namespace="ns", name="web")
MANIFEST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "ns"},
    "spec": {"replicas": 2},
}


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Server:
    """Answers in turn what it was told to, and remembers what it was asked."""

    url: str = ""
    answers: list[tuple[int, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def answer(self, code: int, body: dict[str, Any] | None = None, **headers: str) -> None:
        self.answers.append((code, body or {}, headers))


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            url = urlsplit(self.path)
            state.seen.append(
                Seen(
                    method=self.command,
                    path=url.path,
                    query=parse_qs(url.query),
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=json.loads(raw) if raw else None,
                )
            )
            code, body, headers = state.answers.pop(0)
            content = json.dumps(body).encode()
            self.send_response(code)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def cluster(server: Server) -> Iterator[Cluster]:
    made = cluster_of(server.url)
    yield made
    made.close()


def cluster_of(url: str, *, leads: bool = True) -> Cluster:
    configuration = Configuration()
    configuration.host = url
    configuration.api_key = {"BearerToken": "Bearer secret"}
    return Cluster(transport=Transport(configuration), may_write=lambda: leads)


def test_an_object_is_applied_by_its_manifest_with_our_field_manager(server: Server, cluster: Cluster) -> None:
    server.answer(200, {"kind": "Deployment"})
    asyncio.run(cluster.apply(MANIFEST))
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/web")
    assert seen.query == {"fieldManager": ["loadline-operator"], "force": ["true"]}
    assert seen.headers["content-type"] == "application/apply-patch+yaml"
    assert seen.headers["authorization"] == "Bearer secret"
    assert seen.body == MANIFEST


def test_an_apply_names_the_version_of_the_object_that_was_looked_at(server: Server, cluster: Cluster) -> None:
    server.answer(200)
    asyncio.run(cluster.apply(MANIFEST, resource_version="41"))
    assert server.seen[0].body["metadata"]["resourceVersion"] == "41"
    assert "resourceVersion" not in MANIFEST["metadata"]


def test_a_status_is_replaced_whole_and_only_on_the_object_that_was_looked_at(server: Server, cluster: Cluster) -> None:
    server.answer(200)
    reference = Reference(kind="ModelDeployment", namespace="ns", name="md")
    asyncio.run(cluster.replace_status(reference, {"replicas": 1}, resource_version="7"))
    seen = server.seen[0]
    assert (seen.method, seen.path) == (
        "PUT",
        "/apis/loadline.dev/v1alpha1/namespaces/ns/modeldeployments/md/status",
    )
    assert seen.body["metadata"]["resourceVersion"] == "7"
    assert seen.body["status"] == {"replicas": 1}


def test_a_delete_names_the_very_object(server: Server, cluster: Cluster) -> None:
    server.answer(200)
    asyncio.run(cluster.delete(DEPLOYMENT, uid="u", resource_version="3"))
    assert server.seen[0].method == "DELETE"
    assert server.seen[0].body["preconditions"] == {"uid": "u", "resourceVersion": "3"}


def test_a_long_list_is_read_page_by_page_and_its_items_know_their_kind(server: Server, cluster: Cluster) -> None:
    server.answer(200, {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "more"}})
    server.answer(200, {"items": [{"metadata": {"name": "b"}}], "metadata": {}})
    items = asyncio.run(cluster.list("Pod", namespace="ns", label_selector="a=b"))
    assert [(item["kind"], item["metadata"]["name"]) for item in items] == [("Pod", "a"), ("Pod", "b")]
    assert server.seen[1].query == {"limit": [str(PAGE)], "labelSelector": ["a=b"], "continue": ["more"]}


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (409, "Conflict", ConflictError),
        (409, "AlreadyExists", AlreadyExistsError),
        (404, "NotFound", NotFoundError),
        (403, "Forbidden", RejectedError),
        (422, "Invalid", RejectedError),
        (400, "BadRequest", RejectedError),
        (401, "Unauthorized", UnavailableError),
        (429, "TooManyRequests", UnavailableError),
        (500, "InternalError", UnavailableError),
        (504, "Timeout", UnavailableError),
    ],
)
def test_each_refusal_says_whether_to_try_again(
    server: Server, cluster: Cluster, code: int, reason: str, expected: type[ApiError]
) -> None:
    server.answer(code, {"reason": reason, "message": "because"})
    with pytest.raises(ApiError) as caught:
        asyncio.run(cluster.get(DEPLOYMENT))
    assert type(caught.value) is expected
    assert str(caught.value) == f"The API server did not get Deployment ns/web ({code} {reason}): because"


def test_that_a_namespace_ends_is_told_from_other_refusals(server: Server, cluster: Cluster) -> None:
    causes = [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]
    server.answer(403, {"reason": "Forbidden", "message": "being terminated", "details": {"causes": causes}})
    with pytest.raises(NamespaceEndsError):
        asyncio.run(cluster.apply(MANIFEST))


def test_what_may_not_be_read_is_probed_by_a_write_that_writes_nothing(server: Server, cluster: Cluster) -> None:
    server.answer(200, {"kind": "Secret"})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns", "labels": {"a": "b"}}}
    assert asyncio.run(cluster.probe({**secret, "stringData": {"key": "hidden"}})) == {"kind": "Secret"}
    assert server.seen[0].query == {
        "fieldManager": ["loadline-operator-probe"],
        "force": ["true"],
        "dryRun": ["All"],
    }
    assert server.seen[0].body == secret


def test_the_time_to_wait_is_the_servers(server: Server, cluster: Cluster) -> None:
    server.answer(429, {"reason": "TooManyRequests"}, **{"Retry-After": "7"})
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(cluster.get(DEPLOYMENT))
    assert caught.value.retry_after == 7.0


def test_a_server_that_is_not_there_is_unavailable() -> None:
    gone = cluster_of("http://127.0.0.1:1")
    with pytest.raises(UnavailableError, match="no answer"):
        asyncio.run(gone.get(DEPLOYMENT))
    gone.close()


def test_a_standby_writes_nothing_and_may_read(server: Server) -> None:
    standby = cluster_of(server.url, leads=False)
    for write in (
        standby.apply(MANIFEST),
        standby.delete(DEPLOYMENT, uid="u", resource_version="1"),
        standby.create_event(MANIFEST, reason="R", note="n", warning=False),
        standby.replace_status(DEPLOYMENT, {}, resource_version="1"),
    ):
        with pytest.raises(NotLeaderError):
            asyncio.run(write)
    server.answer(200, {"kind": "Deployment"})
    assert asyncio.run(standby.get(DEPLOYMENT)) == {"kind": "Deployment"}
    assert [seen.method for seen in server.seen] == ["GET"]
    standby.close()


def test_the_same_event_said_again_is_counted_and_not_made_anew(server: Server, cluster: Cluster) -> None:
    for _ in range(3):
        server.answer(201)

    async def scene() -> None:
        for _ in range(3):
            await cluster.create_event(MANIFEST, reason="Ready", note="well", warning=False)

    asyncio.run(scene())
    assert [seen.method for seen in server.seen] == ["POST", "PATCH", "PATCH"]
    assert [seen.body["series"]["count"] for seen in server.seen[1:]] == [2, 3]


def test_an_event_that_an_earlier_process_made_is_counted_on(server: Server, cluster: Cluster) -> None:
    server.answer(409, {"reason": "AlreadyExists"})
    server.answer(200)
    asyncio.run(cluster.create_event(MANIFEST, reason="Ready", note="well", warning=True))
    assert [seen.method for seen in server.seen] == ["POST", "PATCH"]


def test_cluster_wide_kinds_have_no_namespace_in_their_path() -> None:
    assert KINDS["Node"].path("ignored", "n1") == "/api/v1/nodes/n1"
    assert KINDS["Pod"].path(None) == "/api/v1/pods"
