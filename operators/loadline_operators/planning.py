"""In which words do observation and plan speak to each other?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from loadline_contracts.modeldeployment import ModelDeploymentStatus

Manifest = dict[str, Any]
"""A Kubernetes object as plain JSON values."""
GPU: Final = "nvidia.com/gpu"
GPUS: Final = "nvidia.com/"
"""How the resources of NVIDIA's device plugin begin: whole GPUs, shared ones, slices of one."""


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What is known of the model that ``spec.model`` names.

    ``pending`` is not known yet, ``failed`` is not to be had; ``reason`` and ``message`` say why. ``stale`` means that
    the answer is an earlier one, since whoever would know does not answer now.
    """

    state: Literal["pending", "resolved", "failed"]
    uri: str
    version: str = ""
    digest: str = ""
    stale: bool = False
    reason: str = ""
    message: str = ""
    changed_digest: str | None = ""
    """The digest that the same version has now, when that is not the pinned one; None when it was not looked at yet."""


@dataclass(frozen=True, kw_only=True)
class DeploymentFact:
    """A revision's Deployment as the API server shows it."""

    revision: str
    replicas: int
    ready: int
    failure: str = ""
    """Why pods cannot be made, from the ReplicaFailure condition: a quota, an admission error."""


@dataclass(frozen=True, kw_only=True)
class PodFact:
    """A serving pod as the API server shows it."""

    name: str
    revision: str
    node: str = ""
    ready: bool = False
    terminating: bool = False
    fetching: bool = False
    """The init container that brings the model's files is still at work."""
    age: timedelta = timedelta()
    unschedulable: str = ""
    """The scheduler's words when it finds no node."""
    waiting_reason: str = ""
    waiting_message: str = ""
    terminated_reason: str = ""
    """Why a container ended last, for instance OOMKilled."""
    termination_message: str = ""
    """What a container left in its termination log when it ended last."""
    restarts: int = 0


@dataclass(frozen=True, kw_only=True)
class ArmFact:
    """One slot of a route as one Envoy shows it."""

    weight: int
    healthy: int
    active: int


@dataclass(frozen=True, kw_only=True)
class EnvoyFact:
    """What one Envoy shows of this object's routes: per route name (``httproute/NAME``) its slots.

    ``routes`` is None when the Envoy did not answer.
    """

    pod: str
    routes: Mapping[str, Mapping[int, ArmFact]] | None


@dataclass(frozen=True, kw_only=True)
class AttachmentFact:
    """What the gateway's controller says of a route or a policy."""

    kind: str
    name: str
    accepted: bool | None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The world around one ModelDeployment, at one moment."""

    resolution: Resolution
    deployments: Mapping[str, DeploymentFact] = field(default_factory=dict)
    pods: tuple[PodFact, ...] = ()
    cordoned_nodes: frozenset[str] = frozenset()
    envoys: tuple[EnvoyFact, ...] = ()
    attachments: tuple[AttachmentFact, ...] = ()
    hostname_holder: str = ""
    """NAMESPACE/NAME of the older object that has the hostname which this one asks for."""
    foreign: tuple[str, ...] = ()
    """Children whose name another owner has: ``Service NAME``."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Children that the API server refused, with its words."""
    files_problem: str = ""
    """Why the object store does not hand out the model's files now; empty when it does or was not asked."""

    def ready_pods(self, revision: str) -> int:
        """Count the pods of a revision that answer and are to stay."""
        return sum(pod.ready and not pod.terminating and pod.revision == revision for pod in self.pods)


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """How the gateway is named and reached."""

    name: str
    namespace: str
    url: str
    """Address of the gateway for callers, without a trailing slash."""
    grpc_domain: str
    envoy_namespace: str


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """Where serving pods find model files."""

    url: str
    endpoint: str
    region: str
    reader_access_key_id: str
    reader_secret_access_key: str = field(repr=False)
    own: bool = False
    """Whether it is the chart's, beside the operator: pods then reach its pods alone."""
    extra_egress: tuple[Manifest, ...] = ()
    """Further NetworkPolicy egress rules for the pods that fetch from it."""

    @property
    def scheme(self) -> str:
        """The kind of the store: s3, gs, abfss or file."""
        return self.url.partition(":")[0]

    @property
    def keyed(self) -> bool:
        """Whether pods show a key to the store, which is for S3 alone; without one they come as who they are."""
        return self.scheme == "s3" and bool(self.reader_access_key_id)


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What the operator's own configuration adds to every plan."""

    namespace: str
    """The operator's namespace."""
    serving_image: str
    gateway: GatewaySettings
    store: StoreSettings
    serving_gpu_image: str = ""
    """The image with CUDA; empty where the installation has none."""
    drain_grace: timedelta = timedelta(seconds=5)
    """How long a revision without traffic keeps its pods."""
    progress_deadline: timedelta = timedelta(minutes=10)
    surge_deadline: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is wanted next: children to apply, the status to report, when to look again.

    ``foundation`` is what the others stand on: accounts, policies, Services. Nothing of ``building`` is made before all
    of it is there; within each the order is free. Owned children that both leave out are deleted.
    """

    foundation: tuple[Manifest, ...]
    building: tuple[Manifest, ...]
    status: ModelDeploymentStatus
    requeue_after: timedelta | None = None

    @property
    def children(self) -> tuple[Manifest, ...]:
        """All that shall exist."""
        return (*self.foundation, *self.building)
