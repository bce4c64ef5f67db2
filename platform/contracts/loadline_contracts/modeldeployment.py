"""What may a user ask of a served model, and what does its status answer?"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from loadline_contracts.labels import API_VERSION

KIND: Final = "ModelDeployment"
PLURAL: Final = "modeldeployments"
MAX_NAME_LENGTH = 50
TOTAL_WEIGHT = 1_000_000

_OPAQUE: Final[dict[str, Any]] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e[0-9]{1,2})?$"
_DURATION = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"


def rule(expression: str, message: str) -> dict[str, Any]:
    """Give ``json_schema_extra`` one CEL rule that the API server checks at admission."""
    return {"x-kubernetes-validations": [{"rule": expression, "message": message}]}


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Give ``json_schema_extra`` several CEL rules, in the order in which they are reported."""
    return {"x-kubernetes-validations": [{"rule": cel, "message": message} for cel, message in pairs]}


class Contract(BaseModel):
    """A part of an object: camelCase in YAML, immutable, lenient to fields of a newer version."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


Quantity = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": _QUANTITY, "maxLength": 32}),
]
"""A Kubernetes quantity: ``500m``, ``2``, ``1Gi``."""
DnsLabel = Annotated[str, Field(pattern=_DNS_LABEL, min_length=1, max_length=63)]
DnsName = Annotated[str, Field(pattern=_DNS_NAME, min_length=1, max_length=253)]
LabelKey = Annotated[str, Field(pattern=_LABEL_KEY, max_length=317)]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
Duration = Annotated[str, Field(pattern=_DURATION, max_length=24)]
"""A Gateway API duration: ``30s``, ``1m30s``, ``250ms``."""


class ModelSource(Contract):
    """Which model to serve."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.uri.startsWith('models:/') ? !has(self.sha256) : has(self.sha256)",
                "sha256 belongs to https:// and s3:// files, which need it; a models:/ URI takes none, "
                "since the registry's files are pinned by their own digest",
            ),
        )
    )

    uri: Annotated[
        str,
        Field(
            min_length=9,
            max_length=1024,
            pattern=(
                r"^(models:/[^/@\s]+(/[1-9][0-9]*|@[A-Za-z][A-Za-z0-9_.-]*)"
                r"|https://[^\s/]+/[^\s]+|s3://[^\s/]+/[^\s]+)$"
            ),
        ),
    ]
    """The model: `models:/NAME/VERSION` or `models:/NAME@ALIAS` in the MLflow registry, or one ONNX file as
    `https://HOST/PATH` or `s3://BUCKET/KEY` together with its sha256."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """The sha256 of the file at an https:// or s3:// URI, 64 hexadecimal digits."""


class Batching(Contract):
    """How rows of different requests run together."""

    max_rows: Annotated[int, Field(ge=1, le=4096)] = 64
    """The most rows that one run of the model takes from several requests; 1 runs every request by itself. A request
    that has more rows runs alone. A model whose batch dimension is fixed, or that mixes its rows, is never batched."""
    max_wait: Annotated[
        Duration, Field(json_schema_extra=rule("duration(self) <= duration('1s')", "must be at most 1s"))
    ] = "0s"
    """How long a row may wait for others before it runs; at most `1s`. With `0s` only rows that are there at the same
    moment run together, and none is delayed. Each request may take that much longer; a model whose run costs much
    alone and little per row gains throughput."""


class Queue(Contract):
    """How much may be in one pod."""

    max_rows: Annotated[int, Field(ge=1, le=1_048_576)] = 4096
    """The most rows that wait or run."""
    max_bytes: Annotated[int, Field(ge=1024, le=68_719_476_736)] = 268_435_456
    """The most bytes that the tensors of these requests hold, 256 MiB when left out. They count against
    spec.pod.resources.limits.memory."""


class Concurrency(Contract):
    """How many rows are let in at a time."""

    mode: Literal["adaptive", "unlimited"] = "adaptive"
    """adaptive: the runtime measures how long rows wait, and where even the luckiest waits long it lets in fewer; the
    rest is refused as beyond the queue. unlimited: only spec.runtime.queue limits what is inside, for callers who would
    rather wait than come again."""


class Runtime(Contract):
    """How ONNX Runtime runs the model, and what protects it from too much load."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "duration(self.batching.maxWait) < duration(self.timeout)",
                "batching.maxWait must be shorter than timeout, or every request would be late before it runs",
            ),
            (
                "self.queue.maxRows >= self.batching.maxRows",
                "queue.maxRows must not be smaller than batching.maxRows, or no batch would ever be full; where left "
                "out, they are 4096 and 64",
            ),
        )
    )

    device: Literal["cpu", "gpu"] = "cpu"
    """What runs the model. gpu takes the CUDA image that the chart's images.servingGpu names, and asks for one
    `nvidia.com/gpu` unless spec.pod.resources asks for GPUs itself; a pod that finds none ends and says so, and never
    runs the model on the CPU instead."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads that one run of the model may use inside its operators."""
    graph_optimization: Literal["disabled", "basic", "extended", "all"] = "all"
    """How far ONNX Runtime rewrites the graph when it loads the model."""
    memory_arena: bool = True
    """Whether ONNX Runtime keeps memory that a run gave back for the next run. false gives it to the system each time:
    slower, but a single large request does not stay in the pod's memory for good."""
    memory_pattern: bool = True
    """Whether ONNX Runtime plans the memory of a run once for each shape of its inputs. false spares the plans of a
    model whose inputs hardly ever have the same shape twice."""
    io_binding: bool = False
    """Whether inputs and outputs are bound to the run instead of being handed over with every call. It spares copies
    between the CPU's memory and a GPU's; on a CPU it seldom pays."""
    max_request_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824)] = 33_554_432
    """The largest request that is read, in bytes; a larger one is answered with 413 or RESOURCE_EXHAUSTED."""
    batching: Batching = Batching()
    """How rows of different requests run together."""
    queue: Queue = Queue()
    """How much may be in one pod, waiting or running. What comes beyond either limit is refused at once, with 429 and
    Retry-After or with RESOURCE_EXHAUSTED, so that what waits still gets an answer in time. A request that finds no
    other is taken whatever its size."""
    concurrency: Concurrency = Concurrency()
    """How many rows are let in at a time."""
    timeout: Annotated[
        Duration, Field(json_schema_extra=rule("self.matches('[1-9]')", "must be longer than zero, as every run is"))
    ] = "30s"
    """How long after its arrival a request may begin to run, and how long it may take to arrive; longer than zero. One
    that is late is not run, and answered with 504 or DEADLINE_EXCEEDED. A deadline that the request brings, and
    spec.routing.timeout, after which the gateway gives up, can only be sooner."""
    log_one_in: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Every so many-th request is told in the pod's log, beside those that failed by the server's fault; 0: only
    these. What comes faster than it can be written is dropped, and counted."""


class Routing(Contract):
    """How callers reach the model through the gateway."""

    hostname: DnsName | None = None
    """A hostname that leads to this model, beside the path /NAMESPACE/NAME. Of two objects that ask for the
    same one the older gets it."""
    timeout: Annotated[
        Duration,
        Field(json_schema_extra=rule("self.matches('[1-9]')", "must be longer than zero, which would mean no limit")),
    ] = "30s"
    """How long the gateway waits for an answer; longer than zero."""
    retries: Annotated[int, Field(ge=0, le=1)] = 1
    """How often the gateway tries again, on another pod, when a connection could not be made or a stream was
    refused; never when a request may already have run."""


class SecretKeyRef(Contract):
    """One value of a Secret in the object's namespace."""

    name: DnsName
    """Name of the Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """Key inside it."""


class ConfigMapKeyRef(Contract):
    """One value of a ConfigMap in the object's namespace."""

    name: DnsName
    """Name of the ConfigMap."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """Key inside it."""


class KeySetRef(Contract):
    """A ConfigMap in the object's namespace whose key `jwks` holds a key set."""

    # Which key is no choice of ours: Envoy Gateway takes a ConfigMap by its name and looks for `jwks` in it.
    name: DnsName
    """Name of the ConfigMap."""


class ClaimRule(Contract):
    """A claim that a token must carry."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Name of the claim; nested ones are written with dots."""
    values: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(min_length=1, max_length=32)]
    """The claim must hold one of these values."""


class Jwt(Contract):
    """JSON web tokens that open the endpoint."""

    model_config = ConfigDict(
        json_schema_extra=rule(
            "has(self.jwksUri) != has(self.jwksConfigMap)",
            "give exactly one of jwksUri and jwksConfigMap, where the issuer's public keys are found",
        )
    )

    issuer: Annotated[str, Field(min_length=1, max_length=253)]
    """The `iss` that a token must carry."""
    audiences: Annotated[list[Annotated[str, Field(min_length=1, max_length=253)]], Field(min_length=1, max_length=8)]
    """A token must be meant for one of these audiences."""
    jwks_uri: Annotated[str, Field(pattern=r"^https://[^\s]+$", max_length=253)] | None = None
    """Where the issuer publishes its keys; the gateway fetches them."""
    jwks_config_map: KeySetRef | None = None
    """A ConfigMap that holds the issuer's key set (JWKS) under the key `jwks`."""
    claims: Annotated[list[ClaimRule], Field(max_length=16)] = []
    """Claims that a token must carry besides; all of them."""


class Access(Contract):
    """Who may call the model."""

    jwt: Jwt
    """Callers show a JSON web token as `Authorization: Bearer …`."""


def _is_quantity(cel: str) -> str:
    """Say in CEL whether a value may be parsed.

    Rules are asked even where a pattern is not met, and parsing 1e999999999 keeps an API server busy for minutes.
    """
    return f"(type({cel}) == int || {cel}.matches(r'{_QUANTITY}'))"


def _as_quantity(cel: str) -> str:
    return f"(type({cel}) == int ? quantity('0').add(int({cel})) : quantity({cel}))"


class Resources(Contract):
    """What the serving container asks of its node."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.requests.all(k, !(k in self.limits) "
                f"|| !{_is_quantity('self.requests[k]')} || !{_is_quantity('self.limits[k]')} "
                f"|| {_as_quantity('self.requests[k]')}.compareTo({_as_quantity('self.limits[k]')}) <= 0)",
                "requests must not be larger than limits; where left out, requests are cpu 250m and memory 256Mi, "
                "limits memory 1Gi",
            ),
            (
                "self.requests.all(k, !k.contains('/') || k.contains('kubernetes.io/') || k in self.limits)",
                "a device such as nvidia.com/gpu is asked for in limits; requests may only repeat its number",
            ),
        )
    )

    requests: dict[LabelKey, Quantity] = Field(
        default={"cpu": "250m", "memory": "256Mi"}, json_schema_extra={"maxProperties": 16}
    )
    """What the scheduler reserves, for instance `cpu: 250m`."""
    limits: dict[LabelKey, Quantity] = Field(default={"memory": "1Gi"}, json_schema_extra={"maxProperties": 16})
    """What the container may use at most."""


class Toleration(Contract):
    """A taint that pods may stand."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.operator != 'Exists' || !has(self.value) || self.value == ''",
                "operator Exists takes no value; leave it out, or use operator Equal",
            ),
            ("self.operator == 'Exists' || has(self.key)", "operator Equal needs a key; only Exists may leave it out"),
            (
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "tolerationSeconds belongs to effect NoExecute",
            ),
        )
    )

    key: LabelKey | None = None
    """Key of the taint; every key when left out, with operator Exists."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How the taint is compared."""
    value: LabelValue | None = None
    """Value of the taint, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; every effect when left out."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long a NoExecute taint is stood."""


class NodeRequirement(Contract):
    """A condition on a node's labels."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(self.operator in ['In', 'NotIn']) || size(self.values) > 0",
                "operators In and NotIn need at least one of values",
            ),
            (
                "!(self.operator in ['Exists', 'DoesNotExist']) || size(self.values) == 0",
                "operators Exists and DoesNotExist take no values",
            ),
            (
                "!(self.operator in ['Gt', 'Lt']) "
                "|| (size(self.values) == 1 && self.values[0].matches('^[0-9]{1,18}$'))",
                "operators Gt and Lt need exactly one of values, a whole number",
            ),
        )
    )

    key: LabelKey
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How it is compared."""
    values: Annotated[list[LabelValue], Field(max_length=64)] = []
    """Values, for In and NotIn; one number for Gt and Lt."""


class PreferredNodes(NodeRequirement):
    """A wish about a node's labels."""

    weight: Annotated[int, Field(ge=1, le=100)] = 1
    """How much the wish counts."""


class Affinity(Contract):
    """Which nodes pods must or should run on."""

    required: Annotated[list[NodeRequirement], Field(max_length=16)] = []
    """All of these must hold."""
    preferred: Annotated[list[PreferredNodes], Field(max_length=16)] = []
    """Nodes for which more of these hold are taken first."""


class Spread(Contract):
    """How evenly pods of a revision are spread."""

    topology_key: LabelKey
    """Node label whose values are the places, for instance topology.kubernetes.io/zone."""
    max_skew: Annotated[int, Field(ge=1, le=100)] = 1
    """How far two places may differ in their number of pods."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"
    """Whether a pod that cannot be spread waits or runs anyway."""


class Scheduling(Contract):
    """Where pods run."""

    node_selector: dict[LabelKey, LabelValue] = Field(default={}, json_schema_extra={"maxProperties": 16})
    """Labels that a node must carry."""
    tolerations: Annotated[list[Toleration], Field(max_length=16)] = []
    """Taints that pods may stand."""
    affinity: Affinity | None = None
    """Which nodes pods must or should run on."""
    spread: Annotated[list[Spread], Field(max_length=4)] = [Spread(topology_key="kubernetes.io/hostname")]
    """How pods are spread; over nodes, where possible, by default."""
    priority_class_name: DnsName | None = None
    """PriorityClass of the pods."""
    runtime_class_name: DnsName | None = None
    """RuntimeClass of the pods."""


class EnvironmentVariable(Contract):
    """A variable for the serving container."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.value), has(self.secretKeyRef), has(self.configMapKeyRef)].filter(x, x).size() == 1",
                "give exactly one of value, secretKeyRef and configMapKeyRef",
            ),
            ("!self.name.startsWith('LOADLINE_')", "names that start with LOADLINE_ are set by the operator"),
        )
    )

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=253)]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """Its value, in the open."""
    secret_key_ref: SecretKeyRef | None = None
    """Its value, from a Secret."""
    config_map_key_ref: ConfigMapKeyRef | None = None
    """Its value, from a ConfigMap."""


class Proxy(Contract):
    """Proxy for what the pod itself calls: the object store."""

    http: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=512)] | None = None
    """Proxy for http:// addresses."""
    https: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=512)] | None = None
    """Proxy for https:// addresses."""
    no_proxy: Annotated[str, Field(max_length=2048)] | None = None
    """Comma-separated hosts that are called directly."""


_NO_RESERVED_KEYS = rule(
    "self.all(k, !k.startsWith('loadline.dev/') && !k.startsWith('app.kubernetes.io/'))",
    "keys under loadline.dev/ and app.kubernetes.io/ are set by the operator",
)


class Pod(Contract):
    """What the serving pods are given beside the model."""

    resources: Resources = Resources()
    """CPU, memory and devices."""
    scheduling: Scheduling = Scheduling()
    """Where pods run."""
    image: Annotated[str, Field(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$", max_length=512)] | None = None
    """A serving image in place of the chart's, by digest."""
    image_pull_secrets: Annotated[list[DnsName], Field(max_length=8)] = []
    """Names of Secrets with registry credentials."""
    service_account_name: DnsName | None = None
    """A ServiceAccount in place of the object's own; its token is not mounted."""
    env: Annotated[list[EnvironmentVariable], Field(max_length=64)] = Field(
        default=[],
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """Further environment variables."""
    labels: dict[LabelKey, LabelValue] = Field(default={}, json_schema_extra={"maxProperties": 32, **_NO_RESERVED_KEYS})
    """Further labels of the pods."""
    annotations: dict[LabelKey, Annotated[str, Field(max_length=4096)]] = Field(
        default={}, json_schema_extra={"maxProperties": 32, **_NO_RESERVED_KEYS}
    )
    """Further annotations of the pods."""
    ca_bundle: ConfigMapKeyRef | None = None
    """Certificates, in PEM, that the pod trusts beside the image's own when it calls the object store."""
    proxy: Proxy | None = None
    """Proxy for the object store."""
    termination_grace_period_seconds: Annotated[int, Field(ge=15, le=3600)] = 60
    """How long a pod may take to finish its requests when it ends."""


class ModelDeploymentSpec(Contract):
    """What the user wants."""

    model: ModelSource
    """Which model to serve."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many pods the revision that serves all traffic needs. While traffic moves to a new revision, that
    one gets as many besides; status says so."""
    runtime: Runtime = Runtime()
    """How ONNX Runtime runs the model, and what protects it from too much load. The defaults suit a model that answers
    in milliseconds on a CPU."""
    pod: Pod = Pod()
    """What the serving pods are given beside the model."""
    routing: Routing = Routing()
    """How callers reach the model through the gateway."""
    access: Access | None = None
    """Who may call the model; whoever reaches the gateway when left out."""


class Condition(Contract):
    """One thing that is or is not so, since when and why."""

    type: Annotated[str, Field(max_length=64)]
    """What it speaks of."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: Annotated[str, Field(max_length=64)]
    """Why, in one CamelCase word."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Why, in a sentence with the numbers that decided."""
    last_transition_time: datetime
    """When the status last changed."""
    observed_generation: int = 0
    """The generation of the spec that was looked at."""


class ModelStatus(Contract):
    """The model that the spec resolves to."""

    uri: str = ""
    """The spec's URI that was resolved."""
    version: str = ""
    """The registry's version, or the short sha256 of a plain file."""
    digest: str = ""
    """The sha256 of the manifest of its files."""


class RevisionTemplate(Contract):
    """All that makes a revision's pods: enough to make them again after the spec has moved on."""

    model_uri: str
    """The URI that was resolved."""
    model_version: str
    """The registry's version, or the short sha256 of a plain file."""
    digest: str
    """The sha256 of the manifest of the model's files."""
    image: str
    """The serving image."""
    runtime: Annotated[Runtime, WithJsonSchema(_OPAQUE)]
    """How ONNX Runtime runs the model, and what protects it."""
    pod: Annotated[Pod, WithJsonSchema(_OPAQUE)]
    """What the pods are given."""


class RevisionStatus(Contract):
    """A revision that has pods."""

    name: str
    """Ten hexadecimal digits of a hash of the template."""
    role: Literal["stable", "target", "retiring"]
    """stable carries the traffic, target is to take it over, retiring has given it up."""
    slot: Annotated[int, Field(ge=0, le=1)]
    """Place of the revision among the route's backends, one for its life."""
    model_version: str
    """The registry's version, or the short sha256 of a plain file."""
    since: datetime
    """When the revision took its role."""
    template: RevisionTemplate
    """All that makes the revision's pods."""
    replicas: int = 0
    """Pods that it has."""
    ready_replicas: int = 0
    """Pods of it that are ready."""


class RolloutStatus(Contract):
    """A change of revision that is under way."""

    step: Literal["Warming", "Entering", "Shifting", "Leaving"]
    """Warming: the target's pods start. Entering: it stands in the route at a millionth. Shifting: it has all but a
    millionth. Leaving: it is back at a millionth and gives up its place."""
    since: datetime
    """When the step began."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What the step waits for."""


class ArmWeight(Contract):
    """The share of one revision, in millionths."""

    revision: str
    """Name of the revision."""
    weight: Annotated[int, Field(ge=0, le=TOTAL_WEIGHT)]
    """Its share, in millionths."""


class TrafficStatus(Contract):
    """How requests are split."""

    desired: list[ArmWeight] = []
    """The split that the operator wants."""
    acked: list[ArmWeight] = []
    """The split that every Envoy showed when they were last read; empty when they disagree."""
    acked_since: datetime | None = None
    """Since when every Envoy shows the desired split."""
    generation: int = 0
    """How often the desired split changed."""
    envoys: int = 0
    """How many Envoys were read."""
    summary: str = ""
    """The acknowledged split in a word, for kubectl: `v3 100%`, `v3 99.9999% v4 0.0001%`."""


class ModelDeploymentStatus(Contract):
    """What is so."""

    observed_generation: int = 0
    """The generation of the spec that this status speaks of."""
    conditions: list[Condition] = Field(
        default=[],
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Ready, Serving, Progressing, Degraded, and one per concern."""
    model: ModelStatus | None = None
    """The model that the spec resolves to."""
    revisions: list[RevisionStatus] = Field(
        default=[],
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    """The revisions that have pods."""
    rollout: RolloutStatus | None = None
    """The change of revision that is under way."""
    traffic: TrafficStatus = TrafficStatus()
    """How requests are split."""
    replicas: int = 0
    """Pods of the revision that serves most."""
    ready_replicas: int = 0
    """Ready pods of the revision that serves most."""
    extra_replicas: int = 0
    """Pods that a change or a drain needs for a while beside them."""
    selector: str = ""
    """Label selector of the pods of the revision that serves most, for the scale subresource."""
    served_version: str = ""
    """Model version that serves most of the traffic."""
    replica_summary: str = ""
    """Ready pods of wanted ones, for kubectl: `2/2`, `2/2+2` while a change is under way."""
    surging_since: datetime | None = None
    """Since when a drain of the only pod's node is waited for with one pod more."""
    url: str = ""
    """Where HTTP callers reach the model."""
    grpc_authority: str = ""
    """The hostname by which gRPC callers address the model."""


class ObjectMeta(Contract):
    """The part of an object's metadata that Loadline reads."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class ModelDeployment(Contract):
    """A model that is served: which one, how much of it, and where."""

    api_version: Literal["loadline.dev/v1alpha1"] = API_VERSION
    kind: Literal["ModelDeployment"] = KIND
    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()
