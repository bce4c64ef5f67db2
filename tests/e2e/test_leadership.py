"""A leader that was stopped past its lease does no harm when it goes on, and a re-apply changes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from loadline_contracts.labels import FIELD_MANAGER
from support import manifests, names, nodes
from support.cluster import Cluster, Manifest, condition
from support.inference import json_request
from support.load import Count, Load, Stream
from support.model_deployments import SMALL, Served
from support.phases import Timeline
from support.serving_models import ROWS, Registered
from support.waiting import stays, wait_for

CHILDREN = (
    "Deployment",
    "Service",
    "HTTPRoute",
    "GRPCRoute",
    "BackendTrafficPolicy",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ServiceAccount",
    "Secret",
)

Say = Callable[[str], None]


@pytest.fixture(scope="module")
def served(cluster: Cluster, gateway_url: str, model: Registered, module_namespace: str) -> Served:
    """Given a model of two replicas that answers."""
    found = Served(cluster=cluster, gateway_url=gateway_url, namespace=module_namespace, name="led")
    return found.apply(model.version(0), replicas=2).wait_until_ready().wait_until_it_answers()


def leader(cluster: Cluster) -> str:
    """The pod that holds the operator's Lease."""
    lease = cluster.must_get("Lease", names.OPERATOR, names.SYSTEM)
    return str(lease["spec"].get("holderIdentity", "")).split("_")[0]


def written(served: Served) -> dict[str, str]:
    """A mark of the object and of every child, which moves with every write of ours that changes something."""
    selector = f"{names.MODEL_LABEL}={served.name}"
    found = [child for kind in CHILDREN for child in served.cluster.list(kind, served.namespace, selector=selector)]
    subject = served.now()["metadata"]
    # Others write the status of children, and with it their version; our field manager's time moves with our writes.
    return {subject["uid"]: subject["resourceVersion"]} | {child["metadata"]["uid"]: _mark(child) for child in found}


def _mark(child: Manifest) -> str:
    entries = child["metadata"]["managedFields"]
    return " ".join(entry["time"] for entry in entries if entry["manager"] == FIELD_MANAGER)


def test_a_leader_that_slept_past_its_lease_does_no_harm(
    served: Served, cluster: Cluster, timeline: Timeline, say: Say, tmp_path: Path
) -> None:
    sleeper = leader(cluster)
    pod = cluster.must_get("Pod", sleeper, names.SYSTEM)
    process = nodes.main_process(pod, needle="loadline")
    stream = Stream(name="load", url=served.url, body=json_request(ROWS), per_second=100)
    load = Load([stream], tmp_path, node=served.cluster.control_plane)
    with load:
        with timeline.phase("SIGSTOP, until another leads"):
            process.signal("STOP")
            try:
                wait_for(lambda: leader(cluster) not in {"", sleeper}, "another replica leads", within=90)
                served.edit(replicas=3)
                served.wait_until_ready().wait_until(_is_steady, "its three pods are all it has", within=60)
                before = written(served)
            finally:
                process.signal("CONT")
        with timeline.phase("SIGCONT, until the old leader has given up"):
            wait_for(lambda: _gave_up(cluster, pod), f"{sleeper} was started anew", within=60)
            stays(lambda: written(served) == before, "nothing is written", for_seconds=5)
    count = Count.of(load.answers(stream.name))
    say(f"  a sleeping leader cost {count.told}")
    assert count.failed == 0
    assert served.now()["spec"]["replicas"] == 3
    assert leader(cluster) != sleeper


def test_a_manifest_that_is_applied_again_changes_nothing(served: Served, model: Registered) -> None:
    manifest = manifests.model_deployment(
        served.name, served.namespace, model.version(0), replicas=2, pod={"resources": SMALL}
    )
    served.edit(replicas=2)
    # The edit took the field over; the first apply takes it back, which the object's managed fields record.
    served.cluster.apply(manifest)
    served.wait_until_ready().wait_until(_is_steady, "its two pods are all it has", within=60)
    before, revisions = written(served), served.revisions()
    served.cluster.apply(manifest)
    served.cluster.apply(manifest)
    stays(lambda: written(served) == before, "neither the object nor a child is written", for_seconds=5)
    assert served.revisions() == revisions


def _is_steady(found: Manifest) -> bool:
    progressing = condition(found, "Progressing")
    status = found["status"]
    return (
        status["replicas"] == found["spec"]["replicas"]
        and not status["extraReplicas"]
        and progressing is not None
        and progressing["status"] == "False"
    )


def _gave_up(cluster: Cluster, before: Manifest) -> bool:
    """Whether a pod is gone, or runs again after one restart more than it had before."""
    pod = cluster.get("Pod", before["metadata"]["name"], names.SYSTEM)
    return pod is None or (_restarts(pod) > _restarts(before) and all(s["ready"] for s in _containers(pod)))


def _restarts(pod: Manifest) -> int:
    return sum(int(status["restartCount"]) for status in _containers(pod))


def _containers(pod: Manifest) -> list[Manifest]:
    statuses: list[Manifest] = pod["status"]["containerStatuses"]
    return statuses
