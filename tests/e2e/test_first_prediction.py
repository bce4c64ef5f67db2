"""A registered model answers through the gateway, in every way of asking."""

import json
import re

import httpx
import pytest
from support import grpc_client, names
from support.cluster import Cluster
from support.inference import ask, ask_in_binary, infer_path, json_request
from support.model_deployments import Served
from support.phases import Timeline
from support.serving_models import ROWS, Registered

HOSTNAME = "first.example.test"


@pytest.fixture(scope="module")
def served(cluster: Cluster, gateway_url: str, model: Registered, module_namespace: str) -> Served:
    """Given a ModelDeployment with a hostname, applied as a user does and Ready."""
    first = Served(cluster=cluster, gateway_url=gateway_url, namespace=module_namespace, name="first")
    return first.apply(model.version(0), routing={"hostname": HOSTNAME})


def test_an_applied_object_becomes_ready_and_answers(served: Served, timeline: Timeline) -> None:
    with timeline.phase("applied → Ready"):
        served.wait_until_ready(within=90)
    with timeline.phase("Ready → first answer"):
        served.wait_until_it_answers(within=10)


def test_the_answer_is_the_registered_version_s(served: Served, model: Registered) -> None:
    assert ask(served.url, ROWS) == [model.answer(0)]


def test_binary_tensors_get_the_same_answer(served: Served, model: Registered) -> None:
    assert ask_in_binary(served.url, ROWS) == [model.answer(0)]


def test_the_hostname_leads_to_the_model_without_its_path(served: Served, model: Registered) -> None:
    by_hostname = f"{served.gateway_url}/v2/models/first/infer"
    assert ask(by_hostname, ROWS, headers={"host": HOSTNAME}) == [model.answer(0)]


def test_grpc_by_the_model_s_hostname_gets_the_same_answer(served: Served, model: Registered) -> None:
    authority = served.now()["status"]["grpcAuthority"]
    assert grpc_client.ask(target(served), served.name, ROWS, authority=authority) == [model.answer(0)]


def test_grpc_by_metadata_gets_the_same_answer(served: Served, model: Registered) -> None:
    addressed = f"{served.namespace}/{served.name}"
    assert grpc_client.ask(target(served), served.name, ROWS, addressed=addressed) == [model.answer(0)]


def test_v1_and_plain_tables_are_answered_under_the_same_address(served: Served, model: Registered) -> None:
    base = served.url.removesuffix(infer_path(served.name))
    by_rows = httpx.post(f"{base}/v1/models/{served.name}:predict", json={"instances": ROWS}, timeout=10).json()
    assert [float(value) for (value,) in by_rows["predictions"]] == [model.answer(0)]
    table = {"columns": {f"x{column}": [value] for column, value in enumerate(ROWS[0])}}
    plain = httpx.post(f"{base}/predict", json=table, timeout=10).json()
    (output,) = plain["outputs"].values()
    assert [float(value) for (value,) in output] == [model.answer(0)]


def test_the_documentation_leads_back_through_the_gateway(served: Served) -> None:
    page = httpx.get(served.url.removesuffix(infer_path(served.name)) + "/docs", timeout=10)
    assert f"/{served.namespace}/{served.name}/openapi.json" in page.text
    for link in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        assert httpx.get(served.gateway_url + link, timeout=10).status_code == httpx.codes.OK, link


def test_a_request_that_nobody_waits_for_is_not_run(served: Served) -> None:
    late = json.loads(json_request(ROWS)) | {"parameters": {"timeout": 1}}
    answer = httpx.post(served.url, json=late, timeout=10)
    assert answer.status_code == httpx.codes.GATEWAY_TIMEOUT
    assert "deadline passed before the model could run" in answer.json()["error"]


def target(served: Served) -> str:
    """The gateway as gRPC names it."""
    return served.gateway_url.removeprefix("http://")


def test_pods_run_restricted_without_a_token(served: Served) -> None:
    for pod in served.pods():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in (*spec["initContainers"], *spec["containers"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, container["name"]


def test_the_object_says_where_it_answers(served: Served) -> None:
    status = served.now()["status"]
    assert status["url"].endswith(f"/{served.namespace}/{served.name}")
    assert status["grpcAuthority"] == f"{served.name}.{served.namespace}.{names.MODELS_DOMAIN}"


def test_deleting_the_object_removes_everything_it_made(served: Served, cluster: Cluster) -> None:
    cluster.delete("ModelDeployment", served.name, served.namespace)
    for kind in ("Deployment", "Service", "HTTPRoute", "GRPCRoute", "BackendTrafficPolicy", "NetworkPolicy"):
        for child in cluster.list(kind, served.namespace, selector=f"{names.MODEL_LABEL}={served.name}"):
            cluster.wait_until_gone(kind, child["metadata"]["name"], served.namespace, within=30)
