"""What happens to a cluster while models are asked, and how a test does it: each returns when it is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from support import names, nodes, release
from support.cluster import Cluster, Manifest
from support.mlflow_registry import Mlflow
from support.model_deployments import Served
from support.serving_models import Registered
from support.waiting import wait_for


@dataclass(frozen=True, kw_only=True)
class World:
    """What is disturbed."""

    cluster: Cluster
    mlflow: Mlflow
    model: Registered
    pair: Served
    """A model of two replicas."""
    single: Served
    """A model of one replica."""

    @property
    def all(self) -> Sequence[Served]:
        """Every model that is asked."""
        return (self.pair, self.single)

    def wait_until_settled(self) -> None:
        """Wait until every model is as its spec wants it and no pod is leaving any more."""
        for served in self.all:
            served.wait_until_ready()
        wait_for(
            lambda: not _leaving(self.cluster.list("Pod", self.single.namespace)),
            "no pod of a model is leaving",
            within=120,
            context=lambda: self.cluster.explain(self.single.namespace),
        )


Disturb = Callable[[World], None]


def new_version(world: World) -> None:
    """The alias moves: within 15 s a new revision is under way, and in the end it alone serves."""
    target = _other_version(world)
    world.mlflow.set_alias(world.model.name, world.model.alias, target)
    for served in world.all:
        served.wait_until(lambda found: target in _versions(found), f"a revision of version {target}", within=15)
    for served in world.all:
        served.wait_until(
            lambda found: found["status"].get("servedVersion") == f"v{target}",
            f"version {target} serves",
            within=120,
        )
    world.wait_until_settled()


def edit_of_replicas(world: World) -> None:
    """Two replicas become three, and two again."""
    for replicas in (3, 2):
        world.pair.edit(replicas=replicas)
        world.wait_until_settled()


def deletion_of_a_pod(world: World) -> None:
    """One pod of the model of two is deleted gracefully."""
    world.cluster.delete("Pod", world.pair.pods()[0]["metadata"]["name"], world.pair.namespace)
    world.wait_until_settled()


def restart_of_the_operator(world: World) -> None:
    """The operator's pods are replaced one by one."""
    _restart(world.cluster, names.OPERATOR, names.SYSTEM)
    world.wait_until_settled()


def restart_of_envoy_gateway(world: World) -> None:
    """The gateway's controllers are replaced one by one."""
    _restart(world.cluster, names.ENVOY_GATEWAY, names.GATEWAY_SYSTEM)


def restart_of_the_envoys(world: World) -> None:
    """The proxies are replaced one by one, until the last old one has let its callers go."""
    for deployment in world.cluster.list("Deployment", selector=names.ENVOY_SELECTOR):
        _restart(world.cluster, deployment["metadata"]["name"], deployment["metadata"]["namespace"])
    wait_for(
        lambda: not _leaving(world.cluster.list("Pod", selector=names.ENVOY_SELECTOR)),
        "the old Envoys are gone",
        within=180,
    )


def chart_upgrade(world: World) -> None:
    """The chart is upgraded with a changed value that replaces the operator's pods."""
    release.upgrade(world.cluster, f"operator.podAnnotations.upgraded={datetime.now(UTC):%Y-%m-%dT%H-%M-%S}")
    world.wait_until_settled()


def drain_of(index: int) -> Disturb:
    """A worker is drained, and comes back."""

    def drain(world: World) -> None:
        node = nodes.workers(world.cluster)[index]
        nodes.drain(world.cluster, node)
        world.wait_until_settled()
        nodes.uncordon(world.cluster, node)

    return drain


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """A disturbance by its name."""

    name: str
    happens: Disturb


ALL: Sequence[Disturbance] = (
    Disturbance(name="a new model version", happens=new_version),
    Disturbance(name="an edit of replicas", happens=edit_of_replicas),
    Disturbance(name="graceful deletion of a pod", happens=deletion_of_a_pod),
    Disturbance(name="rolling restart of the operator", happens=restart_of_the_operator),
    Disturbance(name="rolling restart of Envoy Gateway", happens=restart_of_envoy_gateway),
    Disturbance(name="rolling restart of the Envoys", happens=restart_of_the_envoys),
    Disturbance(name="a chart upgrade", happens=chart_upgrade),
    Disturbance(name="drain of the first worker", happens=drain_of(0)),
    Disturbance(name="drain of the second worker", happens=drain_of(1)),
)


def _other_version(world: World) -> str:
    now = world.single.now()["status"]["servedVersion"].removeprefix("v")
    return next(version for version in world.model.versions if version != now)


def _versions(found: Manifest) -> set[str]:
    return {revision["modelVersion"] for revision in found["status"].get("revisions", [])}


def _leaving(pods: Sequence[Manifest]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" in pod["metadata"]]


def _restart(cluster: Cluster, deployment: str, namespace: str) -> None:
    cluster.kubectl("rollout", "restart", f"deployment/{deployment}", f"--namespace={namespace}")
    cluster.wait_for_rollout(deployment, namespace, within=180)
