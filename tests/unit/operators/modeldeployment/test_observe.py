"""Claims about what is seen around a ModelDeployment."""

import asyncio
import inspect
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from loadline_contracts.conditions import Reason
from loadline_contracts.modeldeployment import ModelDeployment
from loadline_operators import model_errors, model_facts, resolution
from loadline_operators.cache import Cache, Key
from loadline_operators.envoy import ClusterKey, EnvoyPod, EnvoyReader, EnvoyView, Reading, RouteKey
from loadline_operators.modeldeployment.observe import Observer, Refusals, envoy_facts, envoy_pods, hostname_holder
from loadline_operators.planning import Observed, Resolution
from loadline_operators.resolution import LastKnown

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = Key(namespace="ns", name="md")
ROUTE = RouteKey("httproute", "ns", "md")


def parent_manifest(name: str = "md", *, hostname: str = "", created: int = 0, **rest: Any) -> dict[str, Any]:
    created_at = (NOW - timedelta(hours=1) + timedelta(seconds=created)).isoformat()
    return {
        "apiVersion": "loadline.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": created_at,
        },
        "spec": {"model": {"uri": "models:/m/1"}, "routing": {"hostname": hostname} if hostname else {}},
        **rest,
    }


def owned(kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 2,
            "creationTimestamp": (NOW - timedelta(seconds=30)).isoformat(),
            "labels": {"loadline.dev/model-deployment": "md", "loadline.dev/revision": "r1"},
            "ownerReferences": [{"uid": "uid-md", "controller": True}],
        },
        **rest,
    }


def pod(name: str = "p", *, node: str = "n1", **status: Any) -> dict[str, Any]:
    return owned("Pod", name, spec={"nodeName": node}, status=status)


class Models:
    """Notes what was asked for."""

    files_problem = "the store is away"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, LastKnown | None]] = []

    def watch(self, holder: str, uri: str, sha256: str | None = None, *, last: LastKnown | None = None) -> Resolution:  # noqa: ARG002
        self.asked.append((holder, uri, last))
        return Resolution(state="pending", uri=uri)

    def forget(self, holder: str) -> None:
        raise AssertionError(holder)


async def no_envoys(url: str) -> Mapping[str, Any]:
    raise AssertionError(url)


def observe(*objects: dict[str, Any], models: Models | None = None, parent: dict[str, Any] | None = None) -> Observed:
    cache = Cache()
    manifest = parent or parent_manifest()
    for body in (manifest, *objects):
        cache.put(body)
    observer = Observer(cache=cache, envoys=EnvoyReader(no_envoys, pods=list, port=1), resolutions=models or Models())
    return asyncio.run(observer.observe(KEY, ModelDeployment.model_validate(manifest), Refusals(), now=NOW))


def test_a_deployment_tells_its_pods_and_why_there_are_none() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    status = {"replicas": 3, "readyReplicas": 2, "conditions": [failure]}
    fact = observe(owned("Deployment", "md-r1", spec={}, status=status)).deployments["r1"]
    assert (fact.replicas, fact.ready, fact.failure) == (3, 2, "exceeded quota")


def test_a_deployment_of_an_earlier_object_of_this_name_is_not_ours() -> None:
    body = owned("Deployment", "md-r1", spec={}, status={})
    body["metadata"]["ownerReferences"] = [{"uid": "uid-of-the-dead", "controller": True}]
    assert observe(body).deployments == {}


def test_a_ready_pod_is_told_with_its_node_and_age() -> None:
    fact = observe(pod(conditions=[{"type": "Ready", "status": "True"}])).pods[0]
    assert (fact.ready, fact.node, fact.age, fact.revision) == (True, "n1", timedelta(seconds=30), "r1")


def test_a_pod_that_no_node_takes_tells_the_schedulers_words() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert observe(pod(node="", conditions=[condition])).pods[0].unschedulable == "0/3 nodes"


def test_a_pod_that_fetches_its_files_says_so() -> None:
    waiting = {"name": "serving", "state": {"waiting": {"reason": "PodInitializing"}}}
    fact = observe(
        pod(initContainerStatuses=[{"name": "fetch", "state": {"running": {}}}], containerStatuses=[waiting])
    ).pods[0]
    assert (fact.fetching, fact.waiting_reason) == (True, "")


def test_a_pod_that_ended_tells_what_it_left_in_its_termination_log() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": '{"reason": "NotOnnx"}'}}
    backing_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    container = {"name": "serving", "state": backing_off, "lastState": ended, "restartCount": 4}
    fact = observe(pod(containerStatuses=[container])).pods[0]
    assert (fact.termination_message, fact.terminated_reason) == ('{"reason": "NotOnnx"}', "Error")
    assert (fact.waiting_reason, fact.restarts) == ("CrashLoopBackOff", 4)


def test_an_init_container_that_did_its_work_is_no_ending() -> None:
    done = {"name": "fetch", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    assert observe(pod(initContainerStatuses=[done])).pods[0].terminated_reason == ""


def test_only_cordoned_nodes_that_have_our_pods_are_told() -> None:
    def node(name: str, *, cordoned: bool) -> dict[str, Any]:
        metadata = {"name": name, "uid": name, "resourceVersion": "1"}
        return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"unschedulable": cordoned}}

    seen = observe(pod("a", node="n1"), pod("b", node="n2"), node("n1", cordoned=True), node("n2", cordoned=False))
    assert seen.cordoned_nodes == {"n1"}


@pytest.mark.parametrize(
    ("conditions", "accepted", "message"),
    [
        pytest.param([], None, "", id="nobody has spoken"),
        pytest.param([("Accepted", "True", 2)], True, "", id="accepted"),
        pytest.param([("Accepted", "True", 1)], None, "", id="only an older generation was accepted"),
        pytest.param([("Accepted", "False", 2)], False, "said", id="refused"),
        pytest.param([("Accepted", "True", 2), ("ResolvedRefs", "False", 2)], False, "said", id="a backend is missing"),
    ],
)
def test_a_route_tells_what_its_gateway_says(conditions: list[Any], accepted: bool | None, message: str) -> None:
    said = [{"type": t, "status": s, "observedGeneration": g, "message": "said"} for t, s, g in conditions]
    parents = [{"controllerName": "c", "parentRef": {}, "conditions": said}]
    fact = observe(owned("HTTPRoute", "md", spec={}, status={"parents": parents})).attachments[0]
    assert (fact.kind, fact.name, fact.accepted, fact.message) == ("HTTPRoute", "md", accepted, message)


def test_the_store_and_the_model_are_asked_of_those_who_know() -> None:
    models = Models()
    seen = observe(models=models)
    assert seen.files_problem == "the store is away"
    assert models.asked == [("ns/md", "models:/m/1", None)]


def test_what_the_status_says_of_the_same_uri_is_handed_on() -> None:
    models = Models()
    status = {"model": {"uri": "models:/m/1", "version": "1", "digest": "sha256:d"}}
    observe(models=models, parent=parent_manifest(status=status))
    assert models.asked[0][2] == LastKnown(version="1", digest="sha256:d")
    observe(models=models, parent=parent_manifest(status={"model": {**status["model"], "uri": "models:/other/1"}}))
    assert models.asked[1][2] is None


def holder_for(name: str, *others: dict[str, Any]) -> str:
    cache = Cache()
    for body in others:
        cache.put(body)
    parent = ModelDeployment.model_validate(next(each for each in others if each["metadata"]["name"] == name))
    return hostname_holder(cache, Key(namespace="ns", name=name), parent)


def test_of_two_that_want_a_hostname_the_older_has_it() -> None:
    old, young = parent_manifest("old", hostname="h.example"), parent_manifest("young", hostname="h.example", created=5)
    assert holder_for("old", old, young) == ""
    assert holder_for("young", old, young) == "ns/old"


def test_of_two_of_the_same_age_the_first_by_name_has_it() -> None:
    a, b = parent_manifest("a", hostname="h.example"), parent_manifest("b", hostname="h.example")
    assert holder_for("b", a, b) == "ns/a"


def envoy(name: str, *, ready: bool = True, terminating: bool = False) -> EnvoyPod:
    return EnvoyPod(name=name, uid=name, address="10.0.0.1", ready=ready, terminating=terminating)


def view(name: str) -> EnvoyView:
    return EnvoyView(
        pod=name,
        uid=name,
        weights={ROUTE: {0: 999_999, 1: 1}, RouteKey("httproute", "other", "md"): {0: 1}},
        healthy={ClusterKey(ROUTE, 0, 0): 2, ClusterKey(ROUTE, 0, 1): 3},
        active={ClusterKey(ROUTE, 0, 0): 7},
    )


ROUTES = frozenset({("httproute", "md"), ("grpcroute", "md")})


def test_an_envoy_shows_the_arms_of_our_routes_and_only_those_that_it_has() -> None:
    (fact,) = envoy_facts(Reading(at=0, views={"e": view("e")}), [envoy("e")], namespace="ns", routes=ROUTES)
    assert fact.routes is not None
    assert set(fact.routes) == {"httproute/md"}
    arms = fact.routes["httproute/md"]
    assert [(arm.weight, arm.healthy, arm.active) for arm in arms.values()] == [(999_999, 2, 7), (1, 3, 0)]


def test_an_arm_that_left_the_route_still_shows_what_runs_on_it() -> None:
    leaving = EnvoyView(
        pod="e",
        uid="e",
        weights={ROUTE: {0: 1_000_000}},
        healthy={ClusterKey(ROUTE, 0, 0): 1, ClusterKey(ROUTE, 0, 1): 1},
        active={ClusterKey(ROUTE, 0, 1): 4},
    )
    (fact,) = envoy_facts(Reading(at=0, views={"e": leaving}), [envoy("e")], namespace="ns", routes=ROUTES)
    assert fact.routes is not None
    assert (fact.routes["httproute/md"][1].weight, fact.routes["httproute/md"][1].active) == (0, 4)


def test_a_ready_envoy_that_was_not_read_says_so() -> None:
    (fact,) = envoy_facts(Reading(at=0, views={}), [envoy("e")], namespace="ns", routes=ROUTES)
    assert fact.routes is None


def test_an_envoy_that_ends_has_its_say_as_long_as_it_answers() -> None:
    ending = envoy("e", ready=False, terminating=True)
    assert envoy_facts(Reading(at=0, views={}), [ending], namespace="ns", routes=ROUTES) == ()
    assert len(envoy_facts(Reading(at=0, views={"e": view("e")}), [ending], namespace="ns", routes=ROUTES)) == 1


def test_only_envoys_of_our_gateway_in_their_namespace_are_read() -> None:
    def manifest(name: str, *, gateway: str = "loadline", namespace: str = "envoys") -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": name,
                "resourceVersion": "1",
                "labels": {
                    "gateway.envoyproxy.io/owning-gateway-name": gateway,
                    "gateway.envoyproxy.io/owning-gateway-namespace": "system",
                },
            },
            "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
        }

    cache = Cache()
    for body in (manifest("ours"), manifest("theirs", gateway="x"), manifest("forged", namespace="tenant")):
        cache.put(body)
    found = envoy_pods(cache, name="loadline", namespace="system", envoy_namespace="envoys")
    assert [each.name for each in found] == ["ours"]


def test_every_reason_that_resolution_gives_is_one_that_a_condition_can_carry() -> None:
    known = {reason.value for reason in Reason}
    errors = [each for _, each in inspect.getmembers(model_errors, inspect.isclass)]
    reasons = (getattr(each, "reason", None) for each in errors)
    given = {reason for reason in reasons if isinstance(reason, str)}
    assert given | {model_facts.NOT_ASKED_YET, model_facts.COPYING, resolution.INVALID_URI} <= known
