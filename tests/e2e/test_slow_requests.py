"""A request that is running when its pod is told to go is still answered."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from support import onnx_models
from support.cluster import Cluster
from support.inference import json_request
from support.load import Count, Load, Stream
from support.mlflow_registry import Mlflow
from support.model_deployments import Served
from support.phases import Timeline
from support.serving_models import ROWS

TURNS = 300
"""About a third of a second for each request, on one core."""

Say = Callable[[str], None]


@pytest.fixture
def served(cluster: Cluster, gateway_url: str, mlflow: Mlflow, namespace: str) -> Served:
    """Given a slow model of two replicas."""
    name = f"slow-{secrets.token_hex(3)}"
    version = mlflow.register(name, onnx_models.slow(1.0, turns=TURNS))
    found = Served(cluster=cluster, gateway_url=gateway_url, namespace=namespace, name="slow")
    found.apply(f"models:/{name}/{version}", replicas=2, retries=0)
    return found.wait_until_ready().wait_until_it_answers()


def test_slow_requests_are_answered_while_every_pod_is_replaced(
    served: Served, cluster: Cluster, timeline: Timeline, say: Say, tmp_path: Path
) -> None:
    load = Load(
        [Stream(name="slow", url=served.url, body=json_request(ROWS), per_second=3)],
        tmp_path,
        node=served.cluster.control_plane,
    )
    with load:
        for number, pod in enumerate(served.pods(), start=1):
            with timeline.phase(f"pod {number} is deleted under slow requests"):
                cluster.delete("Pod", pod["metadata"]["name"], served.namespace)
                cluster.wait_until_gone("Pod", pod["metadata"]["name"], served.namespace, within=90)
                served.wait_for("Ready", within=60)
    count = Count.of(load.answers("slow"))
    say(f"  slow requests, p50 {count.p50:.2f} s: {count.told}")
    assert count.failed == 0
