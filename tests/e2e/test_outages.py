"""What a model needs while it runs, and while a pod of it starts: not the registry; the object store only to start."""

from collections.abc import Iterator

import pytest
from support import names, nodes
from support.cluster import Cluster, Manifest, condition
from support.inference import answers_now
from support.mlflow_registry import Mlflow
from support.model_deployments import Served
from support.phases import Timeline
from support.serving_models import ROWS, Registered
from support.waiting import stays, wait_for


@pytest.fixture(scope="module")
def served(cluster: Cluster, gateway_url: str, model: Registered, module_namespace: str) -> Served:
    """Given a model of two replicas that answers."""
    found = Served(cluster=cluster, gateway_url=gateway_url, namespace=module_namespace, name="lasting")
    return found.apply(model.by_alias, replicas=2).wait_until_ready().wait_until_it_answers()


FAILING = {"loadline.dev/test": "failing-registry"}
ANSWER_500 = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Failing(BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(500)
    do_POST = do_GET
HTTPServer(("", 5000), Failing).serve_forever()
"""


def failing_server(image: str) -> Manifest:
    """A pod that answers 500 to everything, run from an image that is there."""
    container = {
        "name": "failing",
        "image": image,
        "command": ["python3", "-c", ANSWER_500],
        "ports": [{"name": "http", "containerPort": 5000}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "failing-registry", "namespace": names.SYSTEM, "labels": FAILING},
        "spec": {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0},
    }


def scale(cluster: Cluster, deployment: str, replicas: int) -> None:
    """Stop a program of the chart, or start it again."""
    cluster.patch("Deployment", deployment, names.SYSTEM, {"spec": {"replicas": replicas}})
    cluster.wait_for_rollout(deployment, names.SYSTEM, within=120)


@pytest.fixture(scope="module")
def registry_down(served: Served, cluster: Cluster, mlflow: Mlflow) -> Iterator[None]:
    """Given that MLflow has stopped, and the database in it; in the end it comes back."""
    assert served.condition("Ready")
    scale(cluster, names.MLFLOW, 0)
    yield
    scale(cluster, names.MLFLOW, 1)
    wait_for(mlflow.answers, "MLflow answers", within=120)
    served.wait_for("ModelResolved", reason="Resolved", within=60)


def successor(served: Served, pod: Manifest) -> Manifest:
    """Delete a pod, wait until all are Ready without it, and return the one that took its place."""
    before = {other["metadata"]["name"] for other in served.pods()}
    served.cluster.delete("Pod", pod["metadata"]["name"], served.namespace)
    served.cluster.wait_until_gone("Pod", pod["metadata"]["name"], served.namespace, within=90)
    served.wait_for("Ready", within=60)
    (new,) = (other for other in served.pods() if other["metadata"]["name"] not in before)
    return new


@pytest.mark.usefixtures("registry_down")
def test_pods_that_are_deleted_moved_or_added_start_while_the_registry_and_its_database_are_down(
    served: Served, cluster: Cluster, timeline: Timeline
) -> None:
    deleted, moved = served.pods()
    with timeline.phase("a pod is deleted and starts again"):
        successor(served, deleted)
    with timeline.phase("a pod is moved to another node"):
        left = moved["spec"]["nodeName"]
        nodes.cordon(cluster, left)
        assert successor(served, moved)["spec"]["nodeName"] != left
        nodes.uncordon(cluster, left)
    with timeline.phase("a pod is added"):
        served.edit(replicas=3)
        served.wait_until_ready(within=60)
    assert answers_now(served.url, ROWS)
    served.wait_for("ModelResolved", reason="RegistryUnavailable", within=60)


@pytest.mark.usefixtures("registry_down")
def test_a_registry_that_answers_500_is_named_and_harms_nothing(
    served: Served, cluster: Cluster, timeline: Timeline
) -> None:
    right = cluster.must_get("Service", names.MLFLOW, names.SYSTEM)["spec"]["selector"]
    image = served.pods()[0]["spec"]["containers"][0]["image"]
    try:
        with timeline.phase("the registry answers 500"):
            cluster.apply(failing_server(image))
            selector = dict.fromkeys(right) | FAILING
            cluster.patch("Service", names.MLFLOW, names.SYSTEM, {"spec": {"selector": selector}})
            served.wait_until(
                lambda found: "500" in _message(found, "ModelResolved"), "its status names the 500", within=60
            )
        assert answers_now(served.url, ROWS)
    finally:
        selector = dict.fromkeys(FAILING) | right
        cluster.patch("Service", names.MLFLOW, names.SYSTEM, {"spec": {"selector": selector}})
        cluster.delete("Pod", "failing-registry", names.SYSTEM)


def _message(found: Manifest, type_: str) -> str:
    held = condition(found, type_)
    return "" if held is None else str(held["message"])


def test_a_new_pod_waits_for_the_object_store_and_goes_on_with_it(
    served: Served, cluster: Cluster, timeline: Timeline
) -> None:
    with timeline.phase("the object store stops"):
        scale(cluster, names.STORE, 0)
    try:
        with timeline.phase("a new pod waits, and the object says so"):
            served.edit(replicas=served.now()["spec"]["replicas"] + 1)
            held = served.wait_for("ModelFilesUnavailable", reason="ModelFilesUnavailable", within=60)
            assert "They go on by themselves when the object store" in held["message"]
            stays(lambda: answers_now(served.url, ROWS), "running pods answer", for_seconds=3)
    finally:
        with timeline.phase("the object store comes back, and the pod goes on"):
            scale(cluster, names.STORE, 1)
            served.wait_until_ready()
    served.wait_for("ModelFilesUnavailable", status="False", within=30)
