import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from loadline_contracts.modeldeployment import TOTAL_WEIGHT, Condition
from loadline_operators.modeldeployment.names import route_keys
from loadline_operators.planning import AttachmentFact, DeploymentFact, Observed, Plan, PodFact, Resolution
from support import worlds
from support.worlds import DATA, envoy, look, parent, pods, resolved, settled, with_status


def condition(planned: Plan, kind: str) -> Condition:
    return next(condition for condition in planned.status.conditions if condition.type == kind)


def step(planned: Plan) -> str | None:
    return planned.status.rollout.step if planned.status.rollout else None


def kinds(planned: Plan) -> list[str]:
    return [child["kind"] for child in planned.children]


def replicas(planned: Plan) -> list[int]:
    return [child["spec"]["replicas"] for child in planned.children if child["kind"] == "Deployment"]


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_the_children_are_the_golden_ones(name: str) -> None:
    subject = parent(name)
    golden: Path = DATA / "output" / f"{name}.yaml"
    made = look(subject, Observed(resolution=resolved(subject.spec.model.uri))).children
    text = yaml.safe_dump_all(made, sort_keys=False, width=110)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)

    assert golden.read_text() == text


def test_a_model_that_is_not_resolved_makes_nothing_and_says_so() -> None:
    gone = Resolution(
        state="failed", uri="models:/digits/1", reason="ModelNotFound", message="No model digits; register it"
    )
    planned = look(parent(), Observed(resolution=gone))

    assert planned.children == ()
    assert (condition(planned, "Ready").status, condition(planned, "Ready").reason) == ("False", "ModelNotFound")
    assert "register it" in condition(planned, "Degraded").message


def test_a_second_look_at_a_settled_world_changes_nothing() -> None:
    subject, world = settled(parent(replicas=2), resolved())
    again = look(subject, world)

    assert again.status == subject.status
    assert again.requeue_after is None


def test_envoys_are_asked_often_only_when_nothing_else_is_waited_for() -> None:
    subject = parent(replicas=2)
    started = look(subject, Observed(resolution=resolved()))
    revision = started.status.revisions[0].name
    running = look(with_status(subject, started.status), Observed(resolution=resolved(), pods=pods(revision, 2)))

    assert started.requeue_after == timedelta(seconds=5)
    assert running.requeue_after == timedelta(milliseconds=500)


def test_a_settled_object_is_ready_and_says_with_how_many_pods() -> None:
    subject, world = settled(parent(replicas=2), resolved())
    ready = condition(look(subject, world), "Ready")

    assert (ready.status, "2 ready pods" in ready.message) == ("True", True)
    assert subject.status.replica_summary == "2/2"
    assert subject.status.traffic.summary == "v1 100%"
    assert subject.status.served_version == "v1"


def test_a_new_version_runs_beside_the_old_one_and_status_says_what_comes_extra() -> None:
    subject, world = settled(parent(replicas=2), resolved())
    moved = look(subject, replace(world, resolution=resolved(version="2")))
    new = moved.status.revisions[1].name
    grown = {**world.deployments, new: DeploymentFact(revision=new, replicas=2, ready=0)}
    seen = look(with_status(subject, moved.status), replace(world, resolution=resolved(version="2"), deployments=grown))

    assert replicas(moved) == [2, 2]
    assert seen.status.replica_summary == "2/2+2"
    assert (condition(seen, "Ready").status, condition(seen, "Serving").status) == ("False", "True")
    assert "0 of 2 pods" in condition(seen, "Progressing").message


def test_one_envoy_that_lags_behind_holds_the_shift() -> None:
    subject, world = settled(parent(replicas=1), resolved())
    world = replace(world, resolution=resolved(version="2"))
    subject = with_status(subject, look(subject, world).status)
    old, new = (revision.name for revision in subject.status.revisions)
    world = replace(world, pods=(*pods(old, 1), *pods(new, 1)))
    subject = with_status(subject, look(subject, world).status)
    keys = route_keys(subject)
    entering = {0: TOTAL_WEIGHT - 1, 1: 1}
    lagging = replace(world, envoys=(envoy("a", keys, entering), envoy("b", keys, {0: TOTAL_WEIGHT})))
    agreed = replace(world, envoys=(envoy("a", keys, entering), envoy("b", keys, entering)))

    assert step(look(subject, lagging)) == "Entering"
    assert step(look(subject, agreed)) == "Shifting"


def test_a_lost_registry_leaves_a_ready_object_ready() -> None:
    subject, world = settled(parent(), resolved())
    away = Resolution(state="pending", uri="models:/digits/1", reason="RegistryUnavailable", message="no answer in 5 s")
    planned = look(subject, replace(world, resolution=away))

    assert condition(planned, "Ready").status == "True"
    assert condition(planned, "ModelResolved").reason == "RegistryUnavailable"
    assert kinds(planned) == kinds(look(subject, world))


def test_a_removed_alias_is_said_and_the_last_good_revision_keeps_serving() -> None:
    subject, world = settled(parent(), resolved())
    gone = Resolution(state="failed", uri="models:/digits/1", reason="AliasNotFound", message="set the alias again")
    planned = look(subject, replace(world, resolution=gone))

    assert condition(planned, "Serving").status == "True"
    assert (condition(planned, "Ready").reason, len(planned.children)) == (
        "AliasNotFound",
        len(look(subject, world).children),
    )


def test_the_only_pod_of_a_node_that_is_emptied_gets_company_first() -> None:
    subject, world = settled(parent(replicas=1), resolved())
    planned = look(subject, replace(world, cordoned_nodes=frozenset({"worker"})))

    assert replicas(planned) == [2]
    assert condition(planned, "Progressing").reason == "Surging"


def test_two_pods_need_no_company_when_a_node_is_emptied() -> None:
    subject, world = settled(parent(replicas=2), resolved())

    assert replicas(look(subject, replace(world, cordoned_nodes=frozenset({"worker"})))) == [2]


def test_a_drain_is_not_blocked_for_ever_when_no_company_gets_ready() -> None:
    subject, world = settled(parent(replicas=1), resolved())
    world = replace(world, cordoned_nodes=frozenset({"worker"}))
    subject = with_status(subject, look(subject, world).status)
    late = look(subject, world, after=timedelta(minutes=5))
    budget = next(child for child in late.children if child["kind"] == "PodDisruptionBudget")

    assert budget["spec"]["maxUnavailable"] == 1
    assert condition(late, "Degraded").reason == "EvictionUnprotected"


def test_the_younger_of_two_objects_with_one_hostname_keeps_its_other_addresses() -> None:
    subject = parent(routing={"hostname": "digits.example.com"})
    held = Observed(resolution=resolved(), hostname_holder="shop/elder")
    planned = look(subject, held)

    assert condition(planned, "HostnameConflict").status == "True"
    assert "shop/elder" in condition(planned, "Degraded").message
    assert [c["metadata"]["name"] for c in planned.children if c["kind"] == "HTTPRoute"] == ["digits"]


BROKEN_PODS = {
    "a file that is not ONNX": (
        PodFact(name="p", revision="", termination_message='{"reason": "NotOnnx", "message": "model.onnx is text"}'),
        ("NotOnnx", "Register the model as ONNX"),
    ),
    "settings that the program refuses": (
        PodFact(name="p", revision="", termination_message='{"reason": "BadSettings", "message": "THREADS: too many"}'),
        ("BadSettings", "spec.pod.env"),
    ),
    "memory that no node has": (
        PodFact(name="p", revision="", unschedulable="0/3 nodes are available: 3 Insufficient memory."),
        ("Unschedulable", "spec.pod.resources.requests"),
    ),
    "a limit that is too low": (
        PodFact(name="p", revision="", terminated_reason="OOMKilled"),
        ("OutOfMemory", "spec.pod.resources.limits.memory"),
    ),
    "an image that cannot be pulled": (
        PodFact(name="p", revision="", waiting_reason="ImagePullBackOff", waiting_message="not found"),
        ("ImagePullFailed", "spec.pod.image"),
    ),
}


@pytest.mark.parametrize(("pod", "expected"), BROKEN_PODS.values(), ids=BROKEN_PODS.keys())
def test_a_broken_new_revision_is_named_with_its_remedy_while_the_old_one_serves(
    pod: PodFact, expected: tuple[str, str]
) -> None:
    subject, world = settled(parent(), resolved())
    world = replace(world, resolution=resolved(version="2"))
    subject = with_status(subject, look(subject, world).status)
    broken = replace(pod, revision=subject.status.revisions[1].name)
    planned = look(subject, replace(world, pods=(*world.pods, broken)))
    degraded = condition(planned, "Degraded")

    assert degraded.reason == expected[0]
    assert expected[1] in degraded.message
    assert "keeps serving" in degraded.message
    assert condition(planned, "Serving").status == "True"


def test_a_route_that_the_gateway_refuses_is_quoted() -> None:
    subject, world = settled(parent(), resolved())
    refused = AttachmentFact(kind="HTTPRoute", name="digits", accepted=False, message="no such listener")

    assert "no such listener" in condition(look(subject, replace(world, attachments=(refused,))), "Routed").message


def test_an_edit_of_replicas_makes_no_new_revision() -> None:
    subject, world = settled(parent(replicas=2), resolved())
    more = subject.model_copy(update={"spec": subject.spec.model_copy(update={"replicas": 4})})
    planned = look(more, world)

    assert [revision.name for revision in planned.status.revisions] == [r.name for r in subject.status.revisions]
    assert replicas(planned) == [4]


def test_no_secret_stands_in_a_manifest_but_the_secret_itself() -> None:
    for child in look(worlds.parent("full"), Observed(resolution=resolved("models:/digits@champion"))).children:
        assert child["kind"] == "Secret" or "hidden" not in str(child)
