"""MLflow keeps its registry in PostgreSQL and its files in S3 when the chart's values say so.

The chart's own MLflow and object store are rendered under another release name into a namespace of their own; the
database is a real PostgreSQL on this machine.
"""

from collections.abc import Iterator, Sequence

import obstore
import pytest
import yaml
from support import names, onnx_models, release
from support.cluster import Cluster, Manifest
from support.mlflow_registry import Mlflow
from support.phases import Timeline
from support.postgres import Postgres, postgres
from support.store import object_store
from support.waiting import wait_for

RELEASE = "backed"
COMPONENTS = ("loadline-mlflow", "loadline-store", "loadline-store-setup")
SECRET = "registry-database"


@pytest.fixture
def database() -> Iterator[Postgres]:
    """Given a PostgreSQL server."""
    with postgres() as server:
        yield server


@pytest.fixture
def backed(cluster: Cluster, namespace: str, database: Postgres, timeline: Timeline) -> Mlflow:
    """Given the chart's MLflow with values for PostgreSQL and S3."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": namespace},
        "stringData": {"uri": database.url},
    }
    with timeline.phase("MLflow starts on PostgreSQL and S3"):
        cluster.apply(secret, *rendered(cluster, namespace))
        cluster.wait_for_rollout(f"{RELEASE}-store", namespace, within=120)
        cluster.wait_for_rollout(f"{RELEASE}-mlflow", namespace, within=240)
        registry = Mlflow(cluster, namespace=namespace, service=f"{RELEASE}-mlflow")
        wait_for(registry.answers, "MLflow answers", within=60, context=lambda: cluster.explain(namespace))
    wait_for(
        lambda: _succeeded(cluster, namespace),
        "the bucket is made",
        within=120,
        context=lambda: cluster.explain(namespace),
    )
    return registry


def rendered(cluster: Cluster, namespace: str) -> Sequence[Manifest]:
    """What the chart makes of these values, of MLflow and the object store only."""
    values = release.values(cluster)
    values["mlflow"] = values.get("mlflow", {}) | {
        "database": {"existingSecret": SECRET},
        "artifacts": {
            "destination": f"s3://{names.BUCKET}/mlflow",
            "endpoint": f"http://{RELEASE}-store.{namespace}:7070",
            "existingSecret": f"{RELEASE}-store-writer",
        },
    }
    documents = yaml.safe_load_all(release.render(cluster, RELEASE, namespace, values))
    return [manifest for manifest in documents if manifest and _component(manifest) in COMPONENTS]


def _component(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("labels", {}).get("app.kubernetes.io/name", ""))


def _succeeded(cluster: Cluster, namespace: str) -> bool:
    pods = cluster.list("Pod", namespace, selector="app.kubernetes.io/name=loadline-store-setup")
    return any(pod["status"].get("phase") == "Succeeded" for pod in pods)


def test_a_registered_model_lies_in_postgresql_and_s3(
    backed: Mlflow, database: Postgres, cluster: Cluster, namespace: str
) -> None:
    version = backed.register("kept", onnx_models.linear(1.0))
    rows = database.ask("select name, version from model_versions")
    assert rows == f"kept|{version}"
    with object_store(cluster, namespace=namespace, release=RELEASE) as store:
        paths = [meta["path"] for batch in obstore.list(store, "mlflow") for meta in batch]
    assert any(path.endswith("model.onnx") for path in paths), paths


def test_mlflow_keeps_nothing_of_its_own(backed: Mlflow, cluster: Cluster, namespace: str) -> None:
    version = backed.register("kept", onnx_models.linear(1.0))
    cluster.kubectl("rollout", "restart", f"deployment/{RELEASE}-mlflow", f"--namespace={namespace}")
    cluster.wait_for_rollout(f"{RELEASE}-mlflow", namespace, within=240)
    wait_for(backed.answers, "MLflow answers again", within=60)
    assert backed.source("kept", version)
    claims = cluster.kubectl("get", "pvc", f"--namespace={namespace}", "-o=name").split()
    assert claims == [f"persistentvolumeclaim/{RELEASE}-store"]
