"""Whether the cluster's MLflow answers to its own names, refuses others, and keeps what was registered."""

from collections.abc import Iterator

import httpx
import pytest
from support import names
from support.cluster import Cluster
from support.mlflow_registry import Mlflow
from support.pod_security import violations
from support.store import forwarded
from support.waiting import wait_for

SEARCH = "api/2.0/mlflow/registered-models/search"


@pytest.fixture(scope="module")
def port(cluster: Cluster) -> Iterator[int]:
    """A port of this machine that leads to the registry."""
    with forwarded(cluster, f"service/{names.MLFLOW}", 5000) as found:
        yield found


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        (f"{names.MLFLOW}.{names.SYSTEM}:5000", 200),
        (f"{names.MLFLOW}:5000", 200),
        (f"{names.MLFLOW}.{names.SYSTEM}.svc.cluster.local:5000", 200),
        ("localhost:5000", 200),
        ("10.244.0.9:5000", 200),
        (f"{names.MLFLOW}.evil.example.com", 403),
        ("evil.example.com", 403),
    ],
)
def test_the_registry_answers_to_the_names_that_it_has(port: int, host: str, answer: int) -> None:
    said = httpx.get(f"http://127.0.0.1:{port}/{SEARCH}", headers={"host": host}, timeout=30)
    assert said.status_code == answer


def test_what_was_registered_outlives_the_pod(cluster: Cluster, mlflow: Mlflow) -> None:
    version = mlflow.register("chart-keeps", b"onnx")
    cluster.kubectl("rollout", "restart", f"deployment/{names.MLFLOW}", "--namespace", names.SYSTEM)
    cluster.wait_for_rollout(names.MLFLOW, names.SYSTEM, within=180)
    wait_for(mlflow.answers, "MLflow answers again", within=60)
    assert mlflow.source("chart-keeps", version)


def test_every_pod_of_the_installed_release_runs_restricted(cluster: Cluster) -> None:
    pods = [
        *cluster.list("Pod", names.SYSTEM, selector=f"app.kubernetes.io/instance={names.RELEASE}"),
        *cluster.list("Pod", names.GATEWAY_SYSTEM, selector=names.ENVOY_SELECTOR),
    ]
    assert len(pods) >= 6, "two operators, MLflow, the object store and two Envoys"
    assert {pod["metadata"]["name"]: violations(pod["spec"]) for pod in pods if violations(pod["spec"])} == {}
