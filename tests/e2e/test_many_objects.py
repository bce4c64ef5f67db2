"""Many ModelDeployments take little longer than as many plain Deployments, and then cost nothing.

Both run on fake nodes, one after the other in the same run, so that the controllers' own limits are in both.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from support import usage, writes
from support.cluster import Cluster, Manifest, condition
from support.fake_nodes import SELECTOR, TOLERATION, fake_nodes
from support.manifests import model_deployment
from support.model_deployments import SMALL
from support.phases import Timeline
from support.serving_models import Registered
from support.waiting import wait_for

SHORT, LONG = 40, 200
REPLICAS = 2
RATIO = 1.3
QUIET_SECONDS_SHORT, QUIET_SECONDS_LONG = 20, 60
SPEAKS_OF = ("operators", "charts", "platform/contracts", "tools/cluster")

Say = Callable[[str], None]


def plain_deployment(name: str, namespace: str) -> Manifest:
    """The Deployment that a ModelDeployment is held against."""
    container = {"name": "serving", "image": "docker.io/loadline/serving:any", "resources": SMALL}
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = {
        "containers": [{**container, "securityContext": security}],
        "nodeSelector": SELECTOR,
        "tolerations": [TOLERATION],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"plain": "true"}},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def on_fake_nodes(name: str, namespace: str, model: str) -> Manifest:
    """A ModelDeployment whose pods are pretended."""
    scheduling = {"nodeSelector": SELECTOR, "tolerations": [TOLERATION]}
    return model_deployment(
        name, namespace, model, replicas=REPLICAS, pod={"resources": SMALL, "scheduling": scheduling}
    )


def seconds_until(apply: Callable[[], None], done: Callable[[], int], number: int, what: str) -> float:
    """How long it takes from the apply until all are there."""
    start = time.monotonic()
    apply()
    wait_for(lambda: done() == number, f"{number} {what}", within=600, every=0.5, seen=done)
    return time.monotonic() - start


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the objects are made."""

    cluster: Cluster
    namespace: str
    model: Registered
    timeline: Timeline


@pytest.fixture
def stage(cluster: Cluster, namespace: str, model: Registered, timeline: Timeline) -> Stage:
    """Given an empty namespace, and no other that still ends: the end of one is hundreds of writes."""
    wait_for(lambda: not _ending(cluster), "no namespace is ending", within=180, seen=lambda: _ending(cluster))
    return Stage(cluster=cluster, namespace=namespace, model=model, timeline=timeline)


def _ending(cluster: Cluster) -> list[str]:
    found = cluster.list("Namespace")
    return [each["metadata"]["name"] for each in found if "deletionTimestamp" in each["metadata"]]


def measure(stage: Stage, number: int, quiet: int) -> dict[str, Any]:
    """Make `number` of each and time them; then watch for writes in a quiet while."""
    cluster, namespace, timeline = stage.cluster, stage.namespace, stage.timeline
    names = [f"many-{number:03d}" for number in range(number)]
    with timeline.phase(f"{number} plain Deployments"):
        plain = seconds_until(
            lambda: cluster.apply(*(plain_deployment(name, namespace) for name in names)),
            lambda: sum(map(_available, cluster.list("Deployment", namespace, selector="plain=true"))),
            number,
            "plain Deployments are available",
        )
    for name in names:
        cluster.delete("Deployment", name, namespace)
    with timeline.phase("they are gone"):
        wait_for(lambda: not cluster.list("Pod", namespace), "no pod is left", within=180)
    with timeline.phase(f"{number} ModelDeployments"), usage.watched(cluster) as while_starting:
        ours = seconds_until(
            lambda: cluster.apply(*(on_fake_nodes(name, namespace, stage.model.version(0)) for name in names)),
            lambda: sum(map(_ready, cluster.list("ModelDeployment", namespace))),
            number,
            "ModelDeployments are Ready",
        )
    with timeline.phase(f"a quiet while of {quiet} s"):
        written = _writes_in_a_quiet_while(cluster, quiet)
    return {
        "objects": number,
        "plain_s": round(plain, 1),
        "model_deployments_s": round(ours, 1),
        "ratio": round(ours / plain, 2),
        "writes_when_quiet": written,
        **while_starting.rows,
    }


def _writes_in_a_quiet_while(cluster: Cluster, seconds: int) -> dict[str, int]:
    """What is written in so many seconds, once nothing has been written for five."""

    def quiet() -> bool:
        before = writes.counted(cluster)
        time.sleep(5)
        return not writes.since(cluster, before)

    wait_for(quiet, "five seconds without a write", within=120, every=0)
    before = writes.counted(cluster)
    time.sleep(seconds)
    return writes.since(cluster, before)


def _available(found: Manifest) -> bool:
    return bool(found.get("status", {}).get("availableReplicas", 0) == REPLICAS)


def _ready(found: Manifest) -> bool:
    held = condition(found, "Ready")
    return held is not None and held["status"] == "True"


def check_quiet(done: dict[str, Any]) -> None:
    """Hold what happens when all is Ready against the bar."""
    assert done["writes_when_quiet"] == {}, done


def check(done: dict[str, Any]) -> None:
    """Hold the figures against the bars."""
    assert done["ratio"] <= RATIO, done
    check_quiet(done)


def test_many_model_deployments_become_ready_and_then_write_nothing(stage: Stage, say: Say) -> None:
    """The ratio to plain Deployments is printed here and held against its bar in the long form only."""
    with fake_nodes(stage.cluster, 2):
        done = measure(stage, SHORT, QUIET_SECONDS_SHORT)
    say(f"  {done}")
    check_quiet(done)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_model_deployments_take_little_longer_than_plain_deployments(stage: Stage, record: Any) -> None:
    recording = record(
        "many-objects",
        claim="200 ModelDeployments on fake nodes are Ready within 1.3 times the time of as many plain Deployments; "
        "then nothing is written for a minute.",
        runs=1,
        paths=SPEAKS_OF,
    )
    if recording.runs_left:
        with fake_nodes(stage.cluster, 6):
            recording.add(measure(stage, LONG, QUIET_SECONDS_LONG))
    check(recording.result.runs[-1])
