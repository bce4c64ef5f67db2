"""Claims about what is kept of objects, and whom their changes concern."""

import json
from typing import Any

import pytest
from loadline_operators.cache import Cache, Key, hold
from loadline_operators.modeldeployment.handlers import Wakes

GATEWAY = {
    "gateway.envoyproxy.io/owning-gateway-name": "loadline",
    "gateway.envoyproxy.io/owning-gateway-namespace": "system",
}


def thing(kind: str, name: str, *, version: int = 1, uid: str = "", **rest: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
        "managedFields": [{"manager": "x"}],
        **rest.pop("metadata", {}),
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}


def parent(name: str, *, hostname: str = "", **rest: Any) -> dict[str, Any]:
    return thing("ModelDeployment", name, spec={"routing": {"hostname": hostname}}, **rest)


def pod(name: str, *, node: str = "", owner: str = "md", **rest: Any) -> dict[str, Any]:
    labels = {"labels": {"loadline.dev/model-deployment": owner}} if owner else {}
    return thing("Pod", name, metadata=labels, spec={"nodeName": node, "containers": [{"image": "x"}]}, **rest)


def test_of_a_pod_only_what_looks_read_is_kept() -> None:
    held = hold(pod("p", node="n1", status={"phase": "Running", "hostIP": "1.2.3.4"}))
    assert b"managedFields" not in held.content
    assert b"containers" not in held.content
    assert b"hostIP" not in held.content
    assert held.node == "n1"


def test_an_older_version_does_not_take_the_place_of_a_newer_one() -> None:
    cache = Cache()
    cache.put(parent("a", version=10, hostname="new.example"))
    change = cache.put(parent("a", version=9, hostname="old.example"))
    assert not change.concerns
    assert cache.with_hostname("old.example") == []


def test_an_object_made_anew_under_the_same_name_takes_the_place_of_the_old_one() -> None:
    cache = Cache()
    cache.put(parent("a", version=10, uid="first"))
    cache.put(parent("a", version=3, uid="second"))
    held = cache.get(Key(namespace="ns", name="a").reference)
    assert held is not None
    assert held.uid == "second"


def test_a_late_answer_does_not_bring_back_what_was_deleted() -> None:
    cache = Cache()
    body = parent("a")
    cache.put(body)
    cache.remove(hold(body).reference, "uid-a")
    cache.put(body)
    assert list(cache.parents()) == []


def test_a_late_deletion_does_not_take_away_what_was_made_anew() -> None:
    cache = Cache()
    cache.put(parent("a", uid="second"))
    cache.remove(Key(namespace="ns", name="a").reference, "first")
    assert list(cache.parents()) == [Key(namespace="ns", name="a")]


def test_an_object_that_moved_is_found_in_its_new_place_only() -> None:
    cache = Cache()
    cache.put(pod("p", version=1, node="n1"))
    cache.put(pod("p", version=2, node="n2"))
    assert cache.on_node("n1") == []
    assert [held.reference.name for held in cache.on_node("n2")] == ["p"]


def test_nothing_is_left_of_what_was_deleted() -> None:
    cache = Cache()
    for number in range(100):
        body = pod(f"p{number}", node=f"n{number}")
        cache.put(body)
        cache.remove(hold(body).reference, f"uid-p{number}")
    assert cache.owned(Key(namespace="ns", name="md")) == []
    assert cache._held == {}
    assert not cache._on_node


def wakes() -> tuple[Wakes, list[str]]:
    woken: list[str] = []
    made = Wakes(
        cache=Cache(),
        wake=lambda key: woken.append(key.name),
        gateway_name="loadline",
        gateway_namespace="system",
        now=lambda: 0.0,
        synced=lambda: None,
        relisted=lambda _: None,
    )
    return made, woken


@pytest.mark.parametrize("kind", ["Deployment", "Service", "HTTPRoute", "NetworkPolicy"])
def test_a_child_wakes_its_owner(kind: str) -> None:
    made, woken = wakes()
    made.saw(thing(kind, "md-1", metadata={"labels": {"loadline.dev/model-deployment": "md"}}))
    assert woken == ["md"]


def test_an_object_wakes_itself_when_its_spec_changes_and_not_when_its_status_does() -> None:
    made, woken = wakes()
    made.saw(parent("md", version=1))
    made.saw(parent("md", version=2, status={"replicas": 2}))
    assert woken == ["md"]
    made.saw(parent("md", version=3, hostname="h.example"))
    assert set(woken[1:]) == {"md"}


def test_our_own_status_is_kept_although_it_wakes_nobody() -> None:
    made, _ = wakes()
    made.saw(parent("md", version=1))
    made.saw(parent("md", version=2, status={"replicas": 2}))
    held = made.cache.get(Key(namespace="ns", name="md").reference)
    assert held is not None
    assert held.manifest()["status"] == {"replicas": 2}


def test_an_event_that_changes_nothing_wakes_nobody() -> None:
    made, woken = wakes()
    made.saw(pod("p", version=1))
    made.saw(pod("p", version=2))
    assert woken == ["md"]


def test_a_node_wakes_those_who_have_pods_on_it() -> None:
    made, woken = wakes()
    made.saw(pod("p1", node="n1", owner="here"))
    made.saw(pod("p2", node="n2", owner="there"))
    woken.clear()
    made.saw(thing("Node", "n1", metadata={"namespace": ""}, spec={"unschedulable": True}))
    assert woken == ["here"]


def test_a_heartbeat_of_a_node_wakes_nobody() -> None:
    made, woken = wakes()
    made.saw(pod("p1", node="n1", owner="here"))
    made.saw(thing("Node", "n1", version=1, status={"conditions": [{"lastHeartbeatTime": "1"}]}))
    woken.clear()
    made.saw(thing("Node", "n1", version=2, status={"conditions": [{"lastHeartbeatTime": "2"}]}))
    assert woken == []


def test_an_envoy_of_our_gateway_wakes_everybody_and_another_nobody() -> None:
    made, woken = wakes()
    made.saw(parent("a"))
    made.saw(parent("b"))
    woken.clear()
    made.saw(thing("Pod", "other", metadata={"labels": {**GATEWAY, "gateway.envoyproxy.io/owning-gateway-name": "x"}}))
    assert woken == []
    made.saw(thing("Pod", "envoy", metadata={"labels": GATEWAY}))
    assert sorted(woken) == ["a", "b"]


def test_a_hostname_given_up_wakes_those_who_wait_for_it() -> None:
    made, woken = wakes()
    made.saw(parent("old", hostname="h.example"))
    made.saw(parent("young", hostname="h.example"))
    woken.clear()
    made.lost(Key(namespace="ns", name="old").reference, "uid-old")
    assert sorted(set(woken)) == ["old", "young"]


def test_a_deletion_wakes_the_owner() -> None:
    made, woken = wakes()
    body = pod("p")
    made.saw(body)
    made.lost(hold(body).reference, "uid-p")
    assert woken == ["md", "md"]


def test_a_thousand_objects_take_little_memory() -> None:
    body = pod("p", node="n", status={"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
    assert len(hold(body).content) < 1000
    assert json.loads(hold(body).content)["kind"] == "Pod"
