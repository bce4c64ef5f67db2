"""What a killed process and a dead node cost: printed in requests and seconds; what must hold is recovery."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import nodes
from support.cluster import Cluster
from support.inference import answers_now, json_request
from support.load import Count, Load, Stream
from support.model_deployments import Served
from support.phases import Timeline
from support.serving_models import ROWS, Registered
from support.waiting import stays, wait_for

Say = Callable[[str], None]


@pytest.fixture(scope="module")
def served(cluster: Cluster, gateway_url: str, model: Registered, module_namespace: str) -> Served:
    """Given a model of two replicas, spread over the workers."""
    found = Served(cluster=cluster, gateway_url=gateway_url, namespace=module_namespace, name="mortal")
    return found.apply(model.version(0), replicas=2).wait_until_ready().wait_until_it_answers()


def load_on(served: Served, folder: Path) -> tuple[Load, Stream]:
    stream = Stream(name="load", url=served.url, body=json_request(ROWS), per_second=200)
    return Load([stream], folder, node=served.cluster.control_plane), stream


def test_a_model_recovers_from_a_process_killed_with_9(
    served: Served, timeline: Timeline, say: Say, tmp_path: Path
) -> None:
    load, stream = load_on(served, tmp_path)
    victim = served.pods()[0]
    with load, timeline.phase("kill -9 of a serving process, until it is Ready again"):
        nodes.main_process(victim, needle="serving").signal("KILL")
        served.wait_until(lambda _: _restarts(served) > 0, "the container was started again", within=60)
        served.wait_until_ready()
    say(f"  kill -9 cost {Count.of(load.answers(stream.name)).told}")
    assert answers_now(served.url, ROWS)


def test_a_model_recovers_from_a_worker_that_dies(
    served: Served, timeline: Timeline, cluster: Cluster, say: Say, tmp_path: Path
) -> None:
    load, stream = load_on(served, tmp_path)
    node = nodes.workers(cluster)[-1]
    try:
        with load, timeline.phase(f"{node} dies, until the cluster knows"):
            nodes.stop(node)
            wait_for(lambda: not nodes.is_ready(cluster.must_get("Node", node)), f"{node} is NotReady", within=120)
            stays(lambda: answers_now(served.url, ROWS), "the model answers without it", for_seconds=3)
    finally:
        with timeline.phase(f"{node} comes back, until all is well"):
            nodes.start(cluster, node)
            served.wait_until_ready(within=180)
    say(f"  a dead worker cost {Count.of(load.answers(stream.name)).told}")


def _restarts(served: Served) -> int:
    statuses = [pod["status"].get("containerStatuses", []) for pod in served.pods()]
    return sum(int(status["restartCount"]) for held in statuses for status in held)
