"""What worlds do the plan's tests look at?"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from loadline_contracts.modeldeployment import TOTAL_WEIGHT, ModelDeployment, ModelDeploymentStatus
from loadline_operators.modeldeployment.names import route_keys
from loadline_operators.modeldeployment.plan import plan
from loadline_operators.planning import (
    ArmFact,
    DeploymentFact,
    EnvoyFact,
    GatewaySettings,
    Observed,
    Plan,
    PlanSettings,
    PodFact,
    Resolution,
    StoreSettings,
)

DATA = Path(__file__).resolve().parents[1] / "data"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SETTINGS = PlanSettings(
    namespace="loadline-system",
    serving_image="docker.io/loadline/serving:dev",
    gateway=GatewaySettings(
        name="loadline",
        namespace="loadline-system",
        url="http://localhost:8080",
        grpc_domain="models.loadline.local",
        envoy_namespace="envoy-gateway-system",
    ),
    store=StoreSettings(
        url="s3://loadline-models",
        endpoint="http://loadline-store.loadline-system:7070",
        region="us-east-1",
        reader_access_key_id="reader",
        reader_secret_access_key="hidden",
        own=True,
    ),
)


def parent(name: str = "minimal", **spec: object) -> ModelDeployment:
    """Read an object from tests/data/input, with parts of its spec replaced."""
    body = yaml.safe_load((DATA / "input" / f"{name}.yaml").read_text())
    body["spec"].update(spec)
    return ModelDeployment.model_validate(body)


def resolved(uri: str = "models:/digits/1", version: str = "1") -> Resolution:
    """Resolve a model to files whose digest follows from the version."""
    return Resolution(state="resolved", uri=uri, version=version, digest=f"sha256:{int(version):064x}")


def pods(revision: str, count: int, *, ready: bool = True, node: str = "worker") -> tuple[PodFact, ...]:
    """Make pods of one revision."""
    return tuple(PodFact(name=f"{revision}-{i}", revision=revision, node=node, ready=ready) for i in range(count))


def envoy(
    name: str, routes: tuple[str, ...], arms: Mapping[int, int], *, healthy: int = 9, active: int = 0
) -> EnvoyFact:
    """Make an Envoy that shows the same arms on each route."""
    facts = {slot: ArmFact(weight=weight, healthy=healthy, active=active) for slot, weight in arms.items()}
    return EnvoyFact(pod=name, routes=dict.fromkeys(routes, facts))


def look(subject: ModelDeployment, observed: Observed, *, after: timedelta = timedelta()) -> Plan:
    """Plan with the test's settings and clock."""
    return plan(subject, observed, settings=SETTINGS, now=NOW + after)


def with_status(subject: ModelDeployment, status: ModelDeploymentStatus) -> ModelDeployment:
    """Write a status back, as the API server would."""
    return subject.model_copy(update={"status": status})


def settled(subject: ModelDeployment, resolution: Resolution) -> tuple[ModelDeployment, Observed]:
    """Return an object that serves all its traffic with all its replicas, and the world that shows it."""

    first = look(subject, Observed(resolution=resolution))
    revision = first.status.revisions[0].name
    replicas = subject.spec.replicas
    world = Observed(
        resolution=resolution,
        deployments={revision: DeploymentFact(revision=revision, replicas=replicas, ready=replicas)},
        pods=pods(revision, replicas),
        envoys=tuple(envoy(name, route_keys(subject), {0: TOTAL_WEIGHT}) for name in ("envoy-a", "envoy-b")),
    )
    seen = with_status(subject, first.status)
    return with_status(seen, look(seen, world).status), world
