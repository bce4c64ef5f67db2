import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from loadline_contracts.modeldeployment import TOTAL_WEIGHT, Condition, ModelDeployment, RolloutStatus
from loadline_operators.modeldeployment.names import route_keys
from loadline_operators.planning import AttachmentFact, DeploymentFact, EnvoyFact, Observed, Plan, PodFact, Resolution
from support import worlds
from support.worlds import DATA, NOW, envoy, look, parent, pods, resolved, settled, with_status


def condition(planned: Plan, kind: str) -> Condition:
    return next(condition for condition in planned.status.conditions if condition.type == kind)


def step(planned: Plan) -> str | None:
    return planned.status.rollout.step if planned.status.rollout else None


def kinds(planned: Plan) -> list[str]:
    return [child["kind"] for child in planned.children]


def relaxed_budgets(planned: Plan) -> list[bool]:
    budgets = [child for child in planned.children if child["kind"] == "PodDisruptionBudget"]
    return ["maxUnavailable" in budget["spec"] for budget in budgets]


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


def shifting(subject: ModelDeployment) -> tuple[ModelDeployment, Observed, str, str]:
    """Return an object whose new revision has all but a millionth of the traffic, its world, and both revisions."""
    subject, world = settled(subject, resolved())
    world = replace(world, resolution=resolved(version="2"))
    subject = with_status(subject, look(subject, world).status)
    old, new = (revision.name for revision in subject.status.revisions)
    world = replace(world, pods=(*world.pods, *pods(new, subject.spec.replicas)))
    for weights in ({0: TOTAL_WEIGHT}, {0: TOTAL_WEIGHT - 1, 1: 1}):
        world = replace(world, envoys=(envoy("a", route_keys(subject), weights),))
        subject = with_status(subject, look(subject, world).status)
    return subject, replace(world, envoys=(envoy("a", route_keys(subject), {0: 1, 1: TOTAL_WEIGHT - 1}),)), old, new


def test_a_target_that_lost_a_pod_is_not_promoted_and_gives_the_traffic_back() -> None:
    subject, world, old, new = shifting(parent(replicas=2))
    short = look(subject, replace(world, pods=(*pods(old, 2), *pods(new, 1))))

    assert step(look(subject, world)) is None
    assert step(short) == "Leaving"


def test_the_old_revision_keeps_its_pods_while_neither_has_those_that_are_needed() -> None:
    subject, world, old, new = shifting(parent(replicas=2))
    short = look(subject, replace(world, pods=(*pods(old, 1), *pods(new, 1))))

    assert (step(short), replicas(short)) == ("Shifting", [2, 2])
    assert "1 of 2 pods" in condition(short, "Progressing").message


def as_the_gateway_shows(planned: Plan, subject: ModelDeployment, ready: str) -> tuple[EnvoyFact, ...]:
    """Show what Envoys show: a revision without ready pods has no place in them, whatever its weight."""
    slots = {revision.name: revision.slot for revision in planned.status.revisions}
    shares = {slots[arm.revision]: arm.weight for arm in planned.status.traffic.desired if arm.revision == ready}
    return tuple(envoy(name, route_keys(subject), shares) for name in "ab")


def rolled_out(subject: ModelDeployment, resolution: Resolution, ready: str) -> Plan:
    """Look on for a minute while only one revision has ready pods."""
    planned = look(subject, Observed(resolution=resolution))
    for seconds in range(60):
        subject = with_status(subject, planned.status)
        envoys = as_the_gateway_shows(planned, subject, ready)
        world = Observed(resolution=resolution, pods=pods(ready, subject.spec.replicas), envoys=envoys)
        planned = look(subject, world, after=timedelta(seconds=seconds))
    return planned


def test_a_first_revision_that_never_ran_gives_way_to_the_next() -> None:
    broken = with_status(subject := parent(), look(subject, Observed(resolution=resolved())).status)
    corrected = look(broken, Observed(resolution=resolved(version="2")))
    new = corrected.status.revisions[-1].name
    planned = rolled_out(broken, resolved(version="2"), new)

    assert [revision.name for revision in planned.status.revisions] == [new]
    assert condition(planned, "Ready").status == "True"


def test_a_stable_revision_that_dies_while_traffic_shifts_does_not_hold_up_its_successor() -> None:
    subject, _, _, new = shifting(parent())
    planned = rolled_out(subject, resolved(version="2"), new)

    assert [revision.name for revision in planned.status.revisions] == [new]


def test_a_target_that_dies_while_traffic_shifts_does_not_hold_up_the_way_back() -> None:
    subject, _, old, _ = shifting(parent())
    planned = rolled_out(subject, resolved(version="1"), old)

    assert [revision.name for revision in planned.status.revisions] == [old]
    assert planned.status.traffic.summary == "v1 100%"


def test_no_split_is_claimed_that_no_envoy_shows() -> None:
    subject, world = settled(parent(), resolved())
    planned = look(subject, replace(world, pods=(), envoys=(envoy("a", route_keys(subject), {}),)))

    assert (planned.status.traffic.acked, planned.status.traffic.summary) == ([], "")


def test_a_change_after_a_long_other_one_has_its_own_deadline() -> None:
    subject, world = settled(parent(), resolved())
    surging = replace(world, cordoned_nodes=frozenset({"worker"}))
    subject = with_status(subject, look(subject, surging).status)
    later = look(subject, replace(world, pods=()), after=timedelta(minutes=20))

    assert condition(later, "Progressing").reason == "Scaling"
    assert condition(later, "Degraded").status == "False"


def test_a_slow_start_does_not_use_up_the_patience_with_silent_envoys() -> None:
    subject = with_status(subject := parent(), look(subject, Observed(resolution=resolved())).status)
    ready = pods(subject.status.revisions[0].name, 1)
    waiting = Observed(resolution=resolved(), envoys=(envoy("a", route_keys(subject), {}),))
    subject = with_status(subject, look(subject, waiting, after=timedelta(seconds=1)).status)
    silent = replace(waiting, pods=ready, envoys=(EnvoyFact(pod="a", routes=None),))

    assert condition(look(subject, silent, after=timedelta(seconds=60)), "Degraded").status == "False"


def test_a_lost_registry_leaves_a_ready_object_ready() -> None:
    subject, world = settled(parent(), resolved())
    away = replace(resolved(), stale=True, reason="RegistryUnavailable", message="no answer in 5 s")
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


def test_bytes_that_changed_under_a_version_are_said_with_the_remedy_and_the_pinned_ones_stay() -> None:
    subject, world = settled(parent(), resolved())
    changed = replace(resolved(), changed_digest=f"sha256:{'f' * 64}")
    planned = look(subject, replace(world, resolution=changed))
    said = condition(planned, "DigestChanged")

    assert (said.status, said.reason) == ("True", "DigestChanged")
    assert "version 1 was sha256:000000000000 and is now sha256:ffffffffffff" in said.message
    assert "Register the new files as a new version" in said.message
    assert condition(planned, "Degraded").message == said.message
    assert condition(planned, "Ready").status == "True"
    assert planned.children == look(subject, world).children


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

    assert relaxed_budgets(late) == [True]
    assert condition(late, "Degraded").reason == "EvictionUnprotected"


def test_the_only_pod_of_a_target_that_has_the_traffic_gets_company_too_and_blocks_no_drain_for_ever() -> None:
    subject, world, old, new = shifting(parent(replicas=1))
    silent = (EnvoyFact(pod="a", routes=None),)
    cordoned = frozenset({"emptied"})
    there = (*pods(old, 1), *pods(new, 1, node="emptied"))
    world = replace(world, envoys=silent, pods=there, cordoned_nodes=cordoned)
    soon = look(subject, world)
    late = look(with_status(subject, soon.status), world, after=timedelta(minutes=5))

    assert (replicas(soon), relaxed_budgets(soon)) == ([1, 2], [False, False])
    assert (replicas(late), relaxed_budgets(late)) == ([1, 2], [False, True])


def test_the_last_pod_of_a_revision_that_left_the_route_gets_no_company_and_blocks_no_drain_for_ever() -> None:
    subject, world, old, new = shifting(parent(replicas=1))
    subject = with_status(subject, look(subject, world).status)
    silent = (EnvoyFact(pod="a", routes=None),)
    there = (*pods(old, 1, node="emptied"), *pods(new, 1))
    world = replace(world, envoys=silent, pods=there, cordoned_nodes=frozenset({"emptied"}))
    soon = look(subject, world)
    late = look(with_status(subject, soon.status), world, after=timedelta(minutes=5))

    assert [revision.role for revision in late.status.revisions] == ["stable", "retiring"]
    assert (replicas(late), relaxed_budgets(soon), relaxed_budgets(late)) == ([1, 1], [False, False], [False, True])
    assert condition(late, "Degraded").reason != "EvictionUnprotected"


def test_the_younger_of_two_objects_with_one_hostname_keeps_its_other_addresses() -> None:
    subject = parent(routing={"hostname": "digits.example.com"})
    held = Observed(resolution=resolved(), hostname_holder="shop/elder", envoys=(envoy("a", (), {}),))
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
    "a GPU that no node has": (
        PodFact(name="p", revision="", unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        ("Unschedulable", "has a free nvidia.com/gpu: 0/3"),
    ),
    "a slice of a GPU that no node has": (
        PodFact(
            name="p", revision="", unschedulable="0/1 nodes: 1 Insufficient nvidia.com/mig-1g.10gb, 2 Too many pods."
        ),
        ("Unschedulable", "has a free nvidia.com/mig-1g.10gb: 0/1"),
    ),
    "a GPU that the container does not see": (
        PodFact(name="p", revision="", termination_message='{"reason": "GpuUnavailable", "message": "no CUDA device"}'),
        ("GpuUnavailable", "no CUDA device. Check the node's NVIDIA driver"),
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


WAITING_PODS = {
    "one that fetches": (PodFact(name="p", revision="", node="n", fetching=True), "kubectl logs p -c fetch"),
    "one that no node has yet": (PodFact(name="p", revision=""), "waits for a node"),
    "one that runs": (PodFact(name="p", revision="", node="n"), "kubectl logs p say why"),
}


@pytest.mark.parametrize(("pod", "words"), WAITING_PODS.values(), ids=WAITING_PODS.keys())
def test_a_first_revision_that_never_gets_ready_is_named_with_what_its_pod_waits_for(pod: PodFact, words: str) -> None:
    subject = parent()
    started = look(subject, Observed(resolution=resolved()))
    subject = with_status(subject, started.status)
    waiting = replace(pod, revision=started.status.revisions[0].name)
    world = Observed(resolution=resolved(), pods=(waiting,), envoys=(envoy("a", route_keys(subject), {0: 1}),))
    soon = look(subject, world, after=timedelta(minutes=9))
    late = look(subject, world, after=timedelta(minutes=10))

    assert condition(soon, "Degraded").status == "False"
    assert condition(late, "Degraded").reason == "ProgressDeadlineExceeded"
    assert (condition(late, "Ready").status, condition(late, "Ready").reason) == ("False", "ProgressDeadlineExceeded")
    assert words in condition(late, "Degraded").message


def test_a_pod_that_restarts_after_days_is_given_the_time_of_a_start() -> None:
    subject, world = settled(parent(replicas=2), resolved())
    short = replace(world, pods=world.pods[:1])
    at_once = look(subject, short, after=timedelta(days=2))
    later = look(with_status(subject, at_once.status), short, after=timedelta(days=2, minutes=10))

    assert condition(at_once, "Degraded").status == "False"
    assert "1 of 2 pods" in condition(later, "Degraded").message


def test_a_first_revision_that_took_longer_than_a_start_may_is_healthy_once_it_serves() -> None:
    subject = parent(replicas=1)
    subject = with_status(subject, look(subject, Observed(resolution=resolved())).status)
    shown = (envoy("a", route_keys(subject), {0: TOTAL_WEIGHT}),)
    there = pods(subject.status.revisions[0].name, 1)
    planned = look(subject, Observed(resolution=resolved(), pods=there, envoys=shown), after=timedelta(minutes=20))

    assert (condition(planned, "Ready").status, condition(planned, "Degraded").status) == ("True", "False")


def test_a_start_that_takes_long_because_the_object_store_is_away_names_the_store() -> None:
    subject = parent()
    started = look(subject, Observed(resolution=resolved()))
    fetching = PodFact(
        name="p", revision=started.status.revisions[0].name, node="n", fetching=True, age=timedelta(minutes=9)
    )
    world = Observed(resolution=resolved(), pods=(fetching,), files_problem="no answer in 5 s")
    late = look(with_status(subject, started.status), world, after=timedelta(minutes=10))

    assert condition(late, "Degraded").reason == "ModelFilesUnavailable"


def refused(kind: str) -> AttachmentFact:
    return AttachmentFact(kind=kind, name="digits", accepted=False, message="it was refused.")


JWKS = {"jwt": {"issuer": "i", "audiences": ["a"], "jwksConfigMap": {"name": "issuer-keys"}}}
BROKEN_GATEWAYS = {
    "no Envoy": (Observed(resolution=resolved()), ("False", "GatewayUnreachable", "in namespace envoy-gateway-system")),
    "a route that is refused": (
        Observed(resolution=resolved(), attachments=(refused("HTTPRoute"),)),
        ("False", "RouteRejected", "Let gateway loadline-system/loadline take routes of namespace shop"),
    ),
    "a route that is refused beside one that works": (
        Observed(
            resolution=resolved(),
            attachments=(refused("HTTPRoute"), AttachmentFact(kind="GRPCRoute", name="digits", accepted=True)),
        ),
        ("True", "RouteRejected", "it was refused. Let"),
    ),
    "keys that are missing": (
        Observed(resolution=resolved(), attachments=(refused("SecurityPolicy"),)),
        ("False", "PolicyRejected", "Create ConfigMap issuer-keys in namespace shop"),
    ),
    "another policy for the routes": (
        Observed(resolution=resolved(), attachments=(refused("BackendTrafficPolicy"),)),
        ("False", "PolicyRejected", "remove any other BackendTrafficPolicy"),
    ),
}


@pytest.mark.parametrize(("gateway", "expected"), BROKEN_GATEWAYS.values(), ids=BROKEN_GATEWAYS.keys())
def test_a_gateway_that_keeps_callers_out_is_named_with_the_remedy(
    gateway: Observed, expected: tuple[str, str, str]
) -> None:
    subject, world = settled(parent(access=JWKS), resolved())
    envoys = world.envoys if gateway.attachments else ()
    broken = replace(world, envoys=envoys, attachments=gateway.attachments)
    once = look(subject, broken)
    planned = look(with_status(subject, once.status), broken, after=timedelta(seconds=5))
    serving, reason, remedy = expected

    assert condition(planned, "Serving").status == serving
    assert {condition(planned, kind).reason for kind in ("Degraded", "Routed", "Ready")} == {reason}
    assert remedy in condition(planned, "Degraded").message


def test_a_route_that_the_controller_does_not_understand_for_a_moment_alarms_nobody() -> None:
    subject, world = settled(parent(), resolved())
    planned = look(subject, replace(world, attachments=(refused("HTTPRoute"),)))

    assert [condition(planned, kind).status for kind in ("Routed", "Serving", "Degraded")] == ["False", "True", "False"]


@pytest.mark.parametrize(("silent", "serving"), [(("a", "b"), "Unknown"), (("b",), "True")], ids=["all", "one of two"])
def test_envoys_that_do_not_answer_are_named_when_it_is_more_than_one_reading(
    silent: tuple[str, ...], serving: str
) -> None:
    subject, world = settled(parent(), resolved())
    envoys = [
        EnvoyFact(pod=name, routes=None) if name in silent else envoy(name, route_keys(subject), {0: TOTAL_WEIGHT})
        for name in ("a", "b")
    ]
    world = replace(world, envoys=tuple(envoys))
    once = look(subject, world)
    lasting = look(with_status(subject, once.status), world, after=timedelta(seconds=30))

    assert (condition(once, "Serving").status, condition(once, "Degraded").status) == ("True", "False")
    assert (condition(lasting, "Serving").status, condition(lasting, "Degraded").status) == (serving, "True")
    assert "log in namespace envoy-gateway-system" in condition(lasting, "Degraded").message


def test_envoys_that_answer_and_never_show_the_wanted_weights_point_to_their_controller() -> None:
    subject, world = settled(parent(), resolved())
    stale = replace(world, envoys=(envoy("a", route_keys(subject), {0: 1}),))
    once = look(subject, stale, after=timedelta(days=2))
    lasting = look(with_status(subject, once.status), stale, after=timedelta(days=2, minutes=10))

    assert (once.requeue_after, condition(once, "Degraded").status) == (timedelta(milliseconds=500), "False")
    assert condition(lasting, "Degraded").reason == "WaitingForGateway"
    assert "controller in namespace envoy-gateway-system" in condition(lasting, "Degraded").message


def test_envoys_that_never_see_the_target_healthy_are_named_with_what_is_waited_for() -> None:
    subject, world, _, _ = shifting(parent())
    shown = {0: TOTAL_WEIGHT - 1, 1: 1}
    seen = replace(world, envoys=(envoy("a", route_keys(subject), shown, healthy=0),))
    back = subject.status.model_copy(update={"rollout": RolloutStatus(step="Entering", since=NOW)})
    late = look(with_status(subject, back), seen, after=timedelta(minutes=10))

    assert condition(late, "Degraded").reason == "WaitingForGateway"
    assert "has a millionth until 1 Envoys show" in condition(late, "Degraded").message


@pytest.mark.parametrize(
    ("child", "remedy"),
    [("Deployment digits-1", "the field of spec.pod that this names"), ("ServiceAccount digits", "quota or admission")],
    ids=["one that the spec shapes", "another"],
)
def test_a_child_that_the_api_server_refuses_is_named_with_the_remedy(child: str, remedy: str) -> None:
    subject, world = settled(parent(), resolved())
    planned = look(subject, replace(world, refused={child: "must be less than 3."}))

    assert f"{child} was refused: must be less than 3. Change" in condition(planned, "Degraded").message
    assert remedy in condition(planned, "Degraded").message


def test_an_edit_of_replicas_makes_no_new_revision() -> None:
    subject, world = settled(parent(replicas=2), resolved())
    more = subject.model_copy(update={"spec": subject.spec.model_copy(update={"replicas": 4})})
    planned = look(more, world)

    assert [revision.name for revision in planned.status.revisions] == [r.name for r in subject.status.revisions]
    assert replicas(planned) == [4]


def test_no_secret_stands_in_a_manifest_but_the_secret_itself() -> None:
    for child in look(worlds.parent("full"), Observed(resolution=resolved("models:/digits@champion"))).children:
        assert child["kind"] == "Secret" or "hidden" not in str(child)
