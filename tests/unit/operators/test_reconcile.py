"""Claims about how plans come true; the API server here keeps versions and refuses what is stale, as the real one."""

import asyncio
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from loadline_contracts.modeldeployment import Condition, ModelDeployment, ModelDeploymentStatus
from loadline_operators.cache import Cache, Key
from loadline_operators.cluster import Reference, reference_of
from loadline_operators.envoy import EnvoyReader
from loadline_operators.errors import (
    ConflictError,
    NamespaceEndsError,
    NotFoundError,
    NotLeaderError,
    RejectedError,
    UnavailableError,
)
from loadline_operators.modeldeployment.observe import Observer
from loadline_operators.planning import GatewaySettings, Observed, Plan, PlanSettings, Resolution, StoreSettings
from loadline_operators.reconcile import Reconciler, turned
from loadline_operators.work_queue import Again

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Key(namespace="ns", name="md")
SETTINGS = PlanSettings(
    namespace="system",
    serving_image="image",
    gateway=GatewaySettings(name="g", namespace="system", url="http://g", grpc_domain="d", envoy_namespace="e"),
    store=StoreSettings(url="s3://b", endpoint="", region="r", reader_access_key_id="", reader_secret_access_key=""),
)
OWNER = {"apiVersion": "loadline.dev/v1alpha1", "kind": "ModelDeployment", "name": "md", "controller": True}


def child(kind: str = "Service", name: str = "md", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "ns",
            "labels": {"loadline.dev/model-deployment": "md"},
            "ownerReferences": [{**OWNER, "uid": "uid-md"}],
        },
        "spec": spec,
    }


def condition(type: str, status: Any, reason: str = "R") -> Condition:  # noqa: A002
    return Condition(type=type, status=status, reason=reason, message="m", last_transition_time=NOW)


@dataclass
class Server:
    """Objects with versions, preconditions and owners; every write is noted."""

    objects: dict[Reference, dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    refuse: dict[str, Exception] = field(default_factory=dict)
    version: int = 0

    def store(self, body: Mapping[str, Any], *, uid: str = "") -> dict[str, Any]:
        self.version += 1
        reference = reference_of(body)
        held = self.objects.get(reference, {}).get("metadata", {})
        kept = copy.deepcopy(dict(body))
        kept["metadata"] |= {
            "uid": uid or held.get("uid") or f"uid-{reference.name}",
            "resourceVersion": str(self.version),
            "managedFields": [{"manager": "loadline-operator"}],
        }
        self.objects[reference] = kept
        return copy.deepcopy(kept)

    async def get(self, reference: Reference) -> dict[str, Any]:
        self.reads.append(str(reference))
        if reference not in self.objects:
            raise NotFoundError(verb="get", target=str(reference), code="404", message="none")
        return copy.deepcopy(self.objects[reference])

    async def apply(self, manifest: Mapping[str, Any], *, resource_version: str | None = None) -> dict[str, Any]:
        reference = reference_of(manifest)
        self._check(reference, resource_version)
        self.writes.append(f"apply {reference}")
        return self.store(manifest)

    async def probe(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        made = {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [], "managedFields": []}}
        return copy.deepcopy(self.objects.get(reference_of(manifest), made))

    async def replace_status(
        self, reference: Reference, status: Mapping[str, Any], *, resource_version: str
    ) -> dict[str, Any]:
        self._check(reference, resource_version)
        self.writes.append(f"status {reference}")
        return self.store({**self.objects[reference], "status": status})

    async def delete(self, reference: Reference, *, uid: str, resource_version: str) -> None:
        self._check(reference, resource_version)
        assert self.objects[reference]["metadata"]["uid"] == uid
        self.writes.append(f"delete {reference}")
        del self.objects[reference]

    async def create_event(
        self,
        regarding: Mapping[str, Any],  # noqa: ARG002 -- as the real one takes it
        *,
        reason: str,
        note: str,
        warning: bool,
        action: str = "Reconcile",  # noqa: ARG002 -- as the real one takes it
    ) -> None:
        self.events.append(f"{'Warning' if warning else 'Normal'} {reason}: {note}")

    def _check(self, reference: Reference, resource_version: str | None) -> None:
        if error := self.refuse.get(str(reference)):
            raise error
        live = self.objects.get(reference)
        if resource_version is not None and (live is None or live["metadata"]["resourceVersion"] != resource_version):
            raise ConflictError(verb="write", target=str(reference), code="409", message="changed")


class NoModels:
    """Resolves everything."""

    files_problem = ""

    def watch(self, holder: str, uri: str, sha256: str | None = None, *, last: Any = None) -> Resolution:  # noqa: ARG002
        return Resolution(state="resolved", uri=uri, version="1", digest="sha256:" + "a" * 64)

    def forget(self, holder: str) -> None:
        pass


async def no_envoys(url: str) -> Mapping[str, Any]:
    raise AssertionError(url)


class World:
    """One ModelDeployment, and the plan that somebody has for it."""

    def __init__(self, *children: dict[str, Any]) -> None:
        self.server = Server()
        self.cache = Cache()
        self.children: tuple[dict[str, Any], ...] = children
        self.building: tuple[dict[str, Any], ...] = ()
        self.status = ModelDeploymentStatus()
        self.requeue_after: timedelta | None = None
        self.observed: list[Observed] = []
        self.before_plan: Callable[[], None] = lambda: None
        self.forgotten: list[Key] = []
        self.reconciler = Reconciler(
            cache=self.cache,
            api=self.server,
            observer=Observer(
                cache=self.cache,
                envoys=EnvoyReader(no_envoys, pods=list, port=1),
                resolutions=NoModels(),
            ),
            make_plan=self._plan,
            settings=SETTINGS,
            forget=self.forgotten.append,
            clock=lambda: NOW,
        )
        self.parent = {
            "apiVersion": "loadline.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "md", "namespace": "ns", "generation": 1},
            "spec": {"model": {"uri": "models:/m/1"}},
        }
        self.cache.put(self.server.store(self.parent))

    def _plan(self, parent: ModelDeployment, observed: Any, *, settings: PlanSettings, now: datetime) -> Plan:  # noqa: ARG002
        self.observed.append(observed)
        self.before_plan()
        return Plan(
            foundation=self.children,
            building=self.building,
            status=self.status,
            requeue_after=self.requeue_after,
        )

    def look(self) -> Again:
        return asyncio.run(self.reconciler.look(KEY))

    def settle(self) -> list[str]:
        """Look until nothing more is wanted at once, and tell what was written."""
        before = len(self.server.writes)
        for _ in range(10):
            if self.look() != Again(after=0.0):
                return self.server.writes[before:]
        raise AssertionError("never settles")


def test_the_status_is_written_first_then_what_others_stand_on_then_the_rest() -> None:
    world = World(child("ServiceAccount"), child("Service"))
    world.building = (child("Deployment"),)
    world.status = ModelDeploymentStatus(replicas=1)
    written = world.settle()
    assert written[0] == "status ModelDeployment ns/md"
    assert set(written[1:3]) == {"apply ServiceAccount ns/md", "apply Service ns/md"}
    assert written[3:] == ["apply Deployment ns/md"]


def test_nothing_new_is_built_while_what_it_stands_on_is_refused_but_what_exists_is_kept_in_step() -> None:
    world = World(child("SecurityPolicy"))
    world.building = (child("HTTPRoute", name="old", weight=1),)
    world.settle()
    world.children = (child("SecurityPolicy", claims=["a"]),)
    world.building = (child("HTTPRoute", name="old", weight=2), child("HTTPRoute", name="new"))
    refusal = RejectedError(verb="apply", target="SecurityPolicy", code="422", message="bad")
    world.server.refuse["SecurityPolicy ns/md"] = refusal
    assert world.settle() == ["apply HTTPRoute ns/old"]
    world.server.refuse.clear()
    assert set(world.settle()) == {"apply SecurityPolicy ns/md", "apply HTTPRoute ns/new"}


def test_what_is_applied_together_is_applied_whole_when_one_of_it_fails() -> None:
    world = World(child("Service"), child("ServiceAccount"), child("NetworkPolicy"))
    world.server.refuse["Service ns/md"] = UnavailableError(verb="apply", target="Service", code="500", message="m")
    assert world.look() == Again(failed=True)
    assert set(world.server.writes) == {"apply ServiceAccount ns/md", "apply NetworkPolicy ns/md"}


def test_a_second_look_at_the_same_world_writes_nothing() -> None:
    world = World(child("Service", port=80))
    world.settle()
    assert world.settle() == []


def test_a_new_process_that_finds_everything_as_wanted_writes_nothing() -> None:
    world = World(child("Service", port=80))
    world.settle()
    world.reconciler._memories.clear()
    assert world.settle() == []


def test_a_changed_manifest_is_applied_and_the_others_are_left_alone() -> None:
    world = World(child("Service", port=80), child("ServiceAccount"))
    world.settle()
    world.children = (child("Service", port=81), child("ServiceAccount"))
    assert world.settle() == ["apply Service ns/md"]


def test_what_somebody_changed_is_put_right() -> None:
    world = World(child("Service", port=80))
    world.settle()
    reference = Reference(kind="Service", namespace="ns", name="md")
    meddled = world.server.objects[reference]
    meddled["spec"] = {"port": 9999}
    world.cache.put(world.server.store(meddled))
    assert world.settle() == ["apply Service ns/md"]
    assert world.server.objects[reference]["spec"] == {"port": 80}


def test_what_the_plan_leaves_out_is_deleted() -> None:
    world = World(child("Service", name="md-old"), child("ServiceAccount"))
    world.settle()
    world.children = (child("ServiceAccount"),)
    assert world.settle() == ["delete Service ns/md-old"]


def test_a_way_in_is_closed_before_the_policy_that_watches_over_it_changes() -> None:
    world = World(child("SecurityPolicy", targets=2))
    world.building = (child("HTTPRoute"), child("HTTPRoute", name="md-host"))
    world.settle()
    world.children, world.building = (child("SecurityPolicy", targets=1),), (child("HTTPRoute"),)
    assert world.settle() == ["delete HTTPRoute ns/md-host", "apply SecurityPolicy ns/md"]


def test_a_child_with_our_label_and_another_owner_is_never_deleted() -> None:
    world = World()
    other = child("Service", name="theirs")
    other["metadata"]["ownerReferences"] = []
    world.cache.put(world.server.store(other))
    assert world.settle() == []


def test_an_object_of_the_right_name_with_another_owner_is_not_overwritten_and_is_reported() -> None:
    world = World(child("Service", port=80))
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "md", "namespace": "ns"}, "spec": {"port": 1}}
    world.server.store(theirs)
    assert world.settle() == []
    world.look()
    assert world.observed[-1].foreign == ("Service md",)
    assert world.server.objects[Reference(kind="Service", namespace="ns", name="md")]["spec"] == {"port": 1}


def test_a_name_that_became_free_is_used() -> None:
    world = World(child("Service", port=80))
    reference = Reference(kind="Service", namespace="ns", name="md")
    world.server.store(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "md", "namespace": "ns"}, "spec": {}}
    )
    world.settle()
    del world.server.objects[reference]
    assert world.settle() == ["apply Service ns/md"]
    assert world.observed[-1].foreign == ()


def test_what_an_earlier_object_of_this_name_left_is_waited_for_and_not_called_foreign() -> None:
    world = World(child("Service", port=80))
    left = child("Service", port=1)
    left["metadata"]["ownerReferences"] = [{**OWNER, "uid": "uid-of-the-dead"}]
    world.server.store(left)
    assert world.look() == Again(failed=True)
    assert world.server.writes == []
    world.look()
    assert world.observed[-1].foreign == ()


def test_a_child_that_is_refused_is_reported_and_holds_up_no_other() -> None:
    world = World(child("Service"), child("ServiceAccount"))
    world.server.refuse["Service ns/md"] = RejectedError(verb="apply", target="Service", code="422", message="bad port")
    assert world.settle() == ["apply ServiceAccount ns/md"]
    assert world.observed[-1].refused == {"Service md": "bad port"}


def test_a_child_that_is_accepted_at_last_is_no_longer_reported() -> None:
    world = World(child("Service"))
    world.server.refuse["Service ns/md"] = RejectedError(verb="apply", target="Service", code="422", message="bad")
    world.settle()
    world.server.refuse.clear()
    world.settle()
    assert world.observed[-1].refused == {}


def test_a_status_is_not_written_onto_an_object_that_changed_and_nothing_follows_from_it() -> None:
    world = World(child("Service"))
    world.status = ModelDeploymentStatus(replicas=5)
    world.before_plan = lambda: (world.server.store(world.parent), None)[1]
    assert world.look() == Again(failed=True)
    assert world.server.writes == []
    world.before_plan = lambda: None
    assert world.settle() == ["status ModelDeployment ns/md", "apply Service ns/md"]


def test_a_child_that_changed_behind_our_back_is_looked_at_before_it_is_written() -> None:
    world = World(child("Service", port=80))
    world.settle()
    meddled = copy.deepcopy(world.server.objects[Reference(kind="Service", namespace="ns", name="md")])
    world.server.store(meddled)
    world.children = (child("Service", port=81),)
    assert world.look() == Again(failed=True)
    assert world.settle() == ["apply Service ns/md"]


def test_an_unchanged_status_is_not_written() -> None:
    world = World()
    world.status = ModelDeploymentStatus(replicas=1, conditions=[condition("Ready", "True")])
    assert world.settle() == ["status ModelDeployment ns/md"]
    assert world.settle() == []


def test_a_condition_that_turns_is_told_as_an_event_once() -> None:
    world = World()
    world.status = ModelDeploymentStatus(conditions=[condition("Ready", "True", "Ready")])
    world.settle()
    world.settle()
    assert world.server.events == ["Normal Ready: Ready is True: m"]


def test_the_next_look_is_when_the_plan_wants_it() -> None:
    world = World()
    world.requeue_after = timedelta(seconds=3)
    assert world.look() == Again(after=3.0)


def test_an_object_that_is_being_deleted_is_left_alone() -> None:
    world = World(child("Service"))
    body = world.server.objects[KEY.reference]
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.cache.put(world.server.store(body))
    assert world.look() == Again()
    assert world.server.writes == []


def test_an_object_that_is_gone_is_forgotten() -> None:
    world = World(child("Service"))
    world.settle()
    world.cache.remove(KEY.reference, "uid-md")
    assert world.look() == Again()
    assert world.forgotten == [KEY]
    assert world.reconciler._memories == {}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            UnavailableError(verb="v", target="t", code="429", message="m", retry_after=7.0),
            Again(failed=True, after=7.0),
        ),
        (NotLeaderError(verb="v", target="t"), Again()),
    ],
)
def test_whatever_fails_is_tried_again_in_its_own_way(error: Exception, expected: Again) -> None:
    world = World(child("Service"))
    world.server.refuse["Service ns/md"] = error
    assert world.look() == expected


def test_an_object_that_cannot_be_read_is_tried_again_and_harms_nobody() -> None:
    world = World()
    world.cache.put(world.server.store({**world.parent, "spec": {"model": {"uri": 7}}}))
    assert world.look() == Again(failed=True)


def test_a_secret_is_written_once_without_ever_being_read() -> None:
    secret = {**child("Secret", name="md-store"), "stringData": {"key": "value"}}
    world = World(secret)
    assert world.settle() == ["apply Secret ns/md-store"]
    assert world.settle() == []
    assert not any("Secret" in read for read in world.server.reads)


def test_a_secret_of_ours_that_somebody_labelled_is_still_ours() -> None:
    secret = {**child("Secret", name="md-store"), "stringData": {"key": "value"}}
    world = World(secret)
    world.settle()
    labelled = world.server.objects[Reference(kind="Secret", namespace="ns", name="md-store")]
    labelled["metadata"]["managedFields"].append({"manager": "kubectl-label"})
    world.reconciler._memories.clear()
    assert world.settle() == ["apply Secret ns/md-store"]
    assert world.observed[-1].foreign == ()


def test_a_secret_that_somebody_else_made_is_not_overwritten() -> None:
    world = World({**child("Secret", name="md-store"), "stringData": {"key": "value"}})
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "md-store", "namespace": "ns"}}
    world.server.store(theirs)
    assert world.settle() == []
    world.look()
    assert world.observed[-1].foreign == ("Secret md-store",)


def test_an_object_whose_namespace_ends_is_left_to_it() -> None:
    world = World(child("Service"))
    ends = NamespaceEndsError(verb="apply", target="Service", code="403", message="being terminated")
    world.server.refuse["Service ns/md"] = ends
    assert world.look() == Again()
    world.server.refuse.clear()
    assert world.settle() == []


def test_a_condition_is_news_when_it_turned_and_an_alarm_when_its_reason_did() -> None:
    before = [condition("Ready", "False", "Warming"), condition("Degraded", "True"), condition("Routed", "False")]
    assert turned(before, before) == []
    assert [c.type for c in turned(before, [condition("Ready", "True")])] == ["Ready"]
    assert [c.reason for c in turned(before, [condition("Degraded", "True", "NotOnnx")])] == ["NotOnnx"]
    assert turned(before, [condition("Ready", "False", "NotReady")]) == []
    assert turned(before, [condition("Routed", "True")]) == []


def test_that_nothing_is_wrong_yet_is_no_news() -> None:
    assert turned([], [condition("Degraded", "False"), condition("Ready", "False")]) == []
    assert [c.type for c in turned([], [condition("Degraded", "True")])] == ["Degraded"]
