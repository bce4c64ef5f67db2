"""Which objects make a ModelDeployment true?

Each function returns one manifest that holds only the fields which the operator owns, ready for server-side apply.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from loadline_contracts import labels
from loadline_contracts.modeldeployment import (
    Affinity,
    EnvironmentVariable,
    ModelDeployment,
    NodeRequirement,
    Pod,
    RevisionTemplate,
    Runtime,
)

from loadline_operators.modeldeployment import egress, names
from loadline_operators.modeldeployment.durations import parse_duration
from loadline_operators.modeldeployment.rollout import Arm
from loadline_operators.planning import GPU, GPUS, Manifest, PlanSettings, StoreSettings

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 8081
METRICS_PORT: Final = 9090
ENVOY_GATEWAY_API: Final = "gateway.envoyproxy.io/v1alpha1"
GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
USER: Final = 65532
DRAIN_QUIET_SECONDS: Final = 10
"""How long no request must have come before a leaving pod ends.

Longer than an Envoy on a starved node stands still, and with it whatever it would still have sent.
"""

_RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _meta(parent: ModelDeployment, name: str, revision: str = "") -> Manifest:
    own = names.shared_labels(parent)
    if revision:
        own[labels.REVISION] = revision
    return {
        "name": name,
        "namespace": parent.metadata.namespace,
        "labels": own,
        "ownerReferences": [
            {
                "apiVersion": parent.api_version,
                "kind": parent.kind,
                "name": parent.metadata.name,
                "uid": parent.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def service_account(parent: ModelDeployment) -> Manifest:
    """Give the pods an identity of their own, without a token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _meta(parent, parent.metadata.name),
        "automountServiceAccountToken": False,
    }


def store_secret(parent: ModelDeployment, store: StoreSettings) -> Manifest | None:
    """Hand the read-only key of the object store to the pods that fetch model files; None where there is no key."""
    if not store.keyed:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _meta(parent, names.store_secret(parent)),
        "type": "Opaque",
        "stringData": {
            "accessKeyId": store.reader_access_key_id,
            "secretAccessKey": store.reader_secret_access_key,
        },
    }


def network_policy(parent: ModelDeployment, settings: PlanSettings) -> Manifest:
    """Let the gateway's Envoys and the metrics readers in, and the pods out to where they fetch model files."""
    gateway = settings.gateway
    envoys = {
        **egress.in_namespace(gateway.envoy_namespace),
        "podSelector": {
            "matchLabels": {
                "gateway.envoyproxy.io/owning-gateway-name": gateway.name,
                "gateway.envoyproxy.io/owning-gateway-namespace": gateway.namespace,
            }
        },
    }
    operator = {
        **egress.in_namespace(settings.namespace),
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "loadline-operator"}},
    }
    prometheus = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(parent, parent.metadata.name),
        "spec": {
            "podSelector": {"matchLabels": {labels.MODEL_DEPLOYMENT: parent.metadata.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [envoys], "ports": [egress.tcp(HTTP_PORT), egress.tcp(GRPC_PORT)]},
                {"from": [operator, prometheus], "ports": [egress.tcp(METRICS_PORT)]},
            ],
            "egress": egress.rules(parent, settings),
        },
    }


def deployment(
    parent: ModelDeployment, revision: str, template: RevisionTemplate, *, replicas: int, settings: PlanSettings
) -> Manifest:
    """Run one revision's pods."""
    selector = names.revision_selector(parent, revision)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(parent, names.revision_child(parent, revision), revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": int(settings.progress_deadline.total_seconds()),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {
                    "labels": {**template.pod.labels, **names.shared_labels(parent), **selector},
                    "annotations": dict(template.pod.annotations),
                },
                "spec": _pod_spec(parent, revision, template, settings),
            },
        },
    }


def _pod_spec(parent: ModelDeployment, revision: str, template: RevisionTemplate, settings: PlanSettings) -> Manifest:
    pod = template.pod
    spec: Manifest = {
        "serviceAccountName": pod.service_account_name or parent.metadata.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pod.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_fetch_container(parent, template, settings.store)],
        "containers": [_serving_container(parent, revision, template)],
        "volumes": _volumes(pod),
        **_scheduling(parent, revision, pod),
    }
    if pod.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pod.image_pull_secrets]
    return spec


def _fetch_container(parent: ModelDeployment, template: RevisionTemplate, store: StoreSettings) -> Manifest:
    return {
        "name": "fetch",
        "image": template.image,
        "args": ["fetch"],
        "env": [
            *_plain(
                LOADLINE_MODEL_DIR="/model",
                LOADLINE_MODEL_DIGEST=template.digest,
                LOADLINE_STORE_URL=store.url,
                LOADLINE_STORE_ENDPOINT=store.endpoint,
                LOADLINE_STORE_REGION=store.region,
            ),
            *_store_key(parent, store),
            *_outbound(template.pod),
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": _mounts(template.pod),
        "securityContext": dict(_RESTRICTED),
    }


def _store_key(parent: ModelDeployment, store: StoreSettings) -> list[Manifest]:
    # Not even empty: the store's client takes an empty key for a key, and never asks who the pod is.
    if not store.keyed:
        return []
    secret = names.store_secret(parent)
    return [
        _from_secret("AWS_ACCESS_KEY_ID", secret, "accessKeyId"),
        _from_secret("AWS_SECRET_ACCESS_KEY", secret, "secretAccessKey"),
    ]


def _serving_container(parent: ModelDeployment, revision: str, template: RevisionTemplate) -> Manifest:
    runtime, pod = template.runtime, template.pod
    return {
        "name": "serving",
        "image": template.image,
        "args": ["serve"],
        "env": [
            *_plain(
                LOADLINE_MODEL_DIR="/model",
                LOADLINE_MODEL_NAME=parent.metadata.name,
                LOADLINE_MODEL_NAMESPACE=parent.metadata.namespace,
                LOADLINE_MODEL_VERSION=template.model_version,
                LOADLINE_MODEL_DIGEST=template.digest,
                LOADLINE_REVISION=revision,
                LOADLINE_HTTP_PORT=str(HTTP_PORT),
                LOADLINE_GRPC_PORT=str(GRPC_PORT),
                LOADLINE_METRICS_PORT=str(METRICS_PORT),
                LOADLINE_THREADS=str(runtime.threads),
                LOADLINE_GRAPH_OPTIMIZATION=runtime.graph_optimization,
                LOADLINE_MAX_REQUEST_BYTES=str(runtime.max_request_bytes),
                LOADLINE_GRACE_SECONDS=str(pod.termination_grace_period_seconds),
                LOADLINE_DRAIN_QUIET_SECONDS=str(DRAIN_QUIET_SECONDS),
                **_chosen(runtime),
            ),
            {"name": "LOADLINE_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *(_variable(variable) for variable in pod.env),
        ],
        "ports": [
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": {**_probe("/startupz"), "periodSeconds": 1, "failureThreshold": 1800},
        # A pod that leaves or dies is known by that; what is left for this probe to find is a starved machine's late
        # answers, and a pod that they took out would leave its share to others that may be no faster, or none.
        "readinessProbe": {**_probe("/readyz"), "periodSeconds": 1, "failureThreshold": 3},
        "livenessProbe": {**_probe("/livez"), "periodSeconds": 10, "failureThreshold": 3},
        "resources": {"requests": dict(pod.resources.requests), "limits": _limits(runtime, pod)},
        "volumeMounts": _mounts(pod),
        "securityContext": dict(_RESTRICTED),
    }


def runtime_environment(runtime: Runtime) -> dict[str, str]:
    """Return the variables by which pods hear how to execute and how to protect themselves."""
    return {
        "LOADLINE_DEVICE": runtime.device,
        "LOADLINE_MEMORY_ARENA": _switch(on=runtime.memory_arena),
        "LOADLINE_MEMORY_PATTERN": _switch(on=runtime.memory_pattern),
        "LOADLINE_IO_BINDING": _switch(on=runtime.io_binding),
        "LOADLINE_BATCH_ROWS": str(runtime.batching.max_rows),
        "LOADLINE_BATCH_WAIT_SECONDS": _seconds(runtime.batching.max_wait),
        "LOADLINE_QUEUE_ROWS": str(runtime.queue.max_rows),
        "LOADLINE_QUEUE_BYTES": str(runtime.queue.max_bytes),
        "LOADLINE_CONCURRENCY": runtime.concurrency.mode,
        "LOADLINE_REQUEST_TIMEOUT_SECONDS": _seconds(runtime.timeout),
        "LOADLINE_LOG_ONE_IN": str(runtime.log_one_in),
    }


def _chosen(runtime: Runtime) -> dict[str, str]:
    """Return what differs from the defaults, which are the image's too.

    A variable more in every pod would restart every model when the operator is upgraded.
    """
    usual = runtime_environment(Runtime())
    return {name: value for name, value in runtime_environment(runtime).items() if value != usual[name]}


def _switch(*, on: bool) -> str:
    return "true" if on else "false"


def _seconds(duration: str) -> str:
    return str(parse_duration(duration).total_seconds())


def _limits(runtime: Runtime, pod: Pod) -> dict[str, str]:
    """Return the container's limits, with the GPU that the device needs where the object names none itself."""
    limits, requests = pod.resources.limits, pod.resources.requests
    named = any(resource.startswith(GPUS) for resource in (*limits, *requests))
    return dict(limits) if named or runtime.device != "gpu" else {**limits, GPU: "1"}


def _plain(**values: str) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _from_secret(variable: str, secret: str, key: str) -> Manifest:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _variable(variable: EnvironmentVariable) -> Manifest:
    if variable.secret_key_ref:
        return _from_secret(variable.name, variable.secret_key_ref.name, variable.secret_key_ref.key)
    if variable.config_map_key_ref:
        reference = variable.config_map_key_ref
        return {
            "name": variable.name,
            "valueFrom": {"configMapKeyRef": {"name": reference.name, "key": reference.key}},
        }
    return {"name": variable.name, "value": variable.value or ""}


def _outbound(pod: Pod) -> list[Manifest]:
    variables: list[Manifest] = []
    if pod.ca_bundle:
        variables += _plain(LOADLINE_CA_BUNDLE=f"/etc/loadline/ca/{pod.ca_bundle.key}")
    if pod.proxy:
        chosen = {"HTTP_PROXY": pod.proxy.http, "HTTPS_PROXY": pod.proxy.https, "NO_PROXY": pod.proxy.no_proxy}
        variables += _plain(**{name: value for name, value in chosen.items() if value})
    return variables


def _probe(path: str) -> Manifest:
    return {"httpGet": {"path": path, "port": "metrics"}, "timeoutSeconds": 3}


def _volumes(pod: Pod) -> list[Manifest]:
    volumes: list[Manifest] = [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    if pod.ca_bundle:
        volumes.append({"name": "ca", "configMap": {"name": pod.ca_bundle.name}})
    return volumes


def _mounts(pod: Pod) -> list[Manifest]:
    mounts: list[Manifest] = [{"name": "model", "mountPath": "/model"}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 -- in the container
    if pod.ca_bundle:
        mounts.append({"name": "ca", "mountPath": "/etc/loadline/ca", "readOnly": True})
    return mounts


def _scheduling(parent: ModelDeployment, revision: str, pod: Pod) -> Manifest:
    wanted = pod.scheduling
    result: Manifest = {}
    if wanted.node_selector:
        result["nodeSelector"] = dict(wanted.node_selector)
    if wanted.tolerations:
        result["tolerations"] = [
            toleration.model_dump(by_alias=True, exclude_none=True) for toleration in wanted.tolerations
        ]
    if wanted.affinity:
        result["affinity"] = {"nodeAffinity": _node_affinity(wanted.affinity)}
    if wanted.spread:
        result["topologySpreadConstraints"] = [
            {
                **spread.model_dump(by_alias=True),
                "labelSelector": {"matchLabels": names.revision_selector(parent, revision)},
            }
            for spread in wanted.spread
        ]
    if wanted.priority_class_name:
        result["priorityClassName"] = wanted.priority_class_name
    if wanted.runtime_class_name:
        result["runtimeClassName"] = wanted.runtime_class_name
    return result


def _node_affinity(affinity: Affinity) -> Manifest:
    result: Manifest = {}
    if affinity.required:
        result["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": [_expression(node) for node in affinity.required]}]
        }
    if affinity.preferred:
        result["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": node.weight, "preference": {"matchExpressions": [_expression(node)]}}
            for node in affinity.preferred
        ]
    return result


def _expression(node: NodeRequirement) -> Manifest:
    expression: Manifest = {"key": node.key, "operator": node.operator}
    if node.values:
        expression["values"] = list(node.values)
    return expression


def service(parent: ModelDeployment, revision: str) -> Manifest:
    """Name one revision's pods for the gateway."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(parent, names.revision_child(parent, revision), revision),
        "spec": {
            "selector": names.revision_selector(parent, revision),
            "ports": [
                {"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"},
                {
                    "name": "grpc",
                    "port": GRPC_PORT,
                    "targetPort": "grpc",
                    "protocol": "TCP",
                    "appProtocol": "kubernetes.io/h2c",
                },
            ],
        },
    }


def disruption_budget(parent: ModelDeployment, revision: str, *, relaxed: bool) -> Manifest:
    """Keep evictions from taking more than one pod at a time, and the only one before another is ready.

    ``relaxed`` lets the only pod go too: a drain is never blocked for ever.
    """
    alone = parent.spec.replicas == 1 and not relaxed
    limit: Manifest = {"minAvailable": 1} if alone else {"maxUnavailable": 1}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(parent, names.revision_child(parent, revision), revision),
        "spec": {
            "selector": {"matchLabels": names.revision_selector(parent, revision)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            **limit,
        },
    }


def routes(parent: ModelDeployment, arms: Sequence[Arm], settings: PlanSettings, *, by_host: bool) -> list[Manifest]:
    """Lead callers to the arms: by path and metadata, and by hostname."""
    host = parent.spec.routing.hostname
    prefix = {"path": {"type": "PathPrefix", "value": names.path_prefix(parent)}}
    root = {"path": {"type": "PathPrefix", "value": "/"}}
    address = f"{parent.metadata.namespace}/{parent.metadata.name}"
    metadata = {"headers": [{"type": "Exact", "name": labels.MODEL_HEADER, "value": address}]}
    strip = {
        "type": "URLRewrite",
        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
    }
    authority = names.grpc_authority(parent, settings.gateway.grpc_domain)
    by_name, by_hostname = parent.metadata.name, names.host_route(parent)
    http = {"backendRefs": backends(parent, arms, HTTP_PORT)}
    grpc = {"backendRefs": backends(parent, arms, GRPC_PORT)}
    made = [_route(parent, "HTTPRoute", by_name, {"matches": [prefix], "filters": [strip], **http}, settings)]
    if host and by_host:
        made.append(_route(parent, "HTTPRoute", by_hostname, {"matches": [root], **http}, settings, hostname=host))
    made.append(_route(parent, "GRPCRoute", by_name, {"matches": [metadata], **grpc}, settings))
    made.append(_route(parent, "GRPCRoute", by_hostname, grpc, settings, hostname=authority))
    return made


def _route(
    parent: ModelDeployment, kind: str, name: str, rule: Manifest, settings: PlanSettings, *, hostname: str = ""
) -> Manifest:
    gateway = settings.gateway
    spec: Manifest = {
        "parentRefs": [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": gateway.name,
                "namespace": gateway.namespace,
            }
        ],
        "rules": [rule],
    }
    if hostname:
        spec["hostnames"] = [hostname]
    return {"apiVersion": GATEWAY_API, "kind": kind, "metadata": _meta(parent, name), "spec": spec}


def backends(parent: ModelDeployment, arms: Sequence[Arm], port: int) -> list[Manifest]:
    """Put each arm at its slot's position, since Envoy's cluster names count positions.

    An empty slot before a full one is held by the other arm's Service at weight 0, which Envoy Gateway leaves out.
    """
    by_slot: Mapping[int, Arm] = {arm.slot: arm for arm in arms}
    if not by_slot:
        return []
    result: list[Manifest] = []
    for slot in range(max(by_slot) + 1):
        arm = by_slot.get(slot)
        placed = arm or next(iter(by_slot.values()))
        result.append(
            {
                "group": "",
                "kind": "Service",
                "name": names.revision_child(parent, placed.revision),
                "port": port,
                "weight": arm.weight if arm else 0,
                "filters": [
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {"set": [{"name": labels.ARM_HEADER, "value": placed.name}]},
                    }
                ],
            }
        )
    return result


def traffic_policy(parent: ModelDeployment, *, by_host: bool) -> Manifest:
    """Tell the gateway about time limits, retries and pods that fail."""
    routing = parent.spec.routing
    spec: dict[str, Any] = {
        "targetRefs": _route_targets(parent, by_host=by_host),
        "loadBalancer": {"type": "LeastRequest"},
        # Longer than a lost SYN takes to be sent again (1 s), and than a starved Envoy is late to see an answer.
        "timeout": {"tcp": {"connectTimeout": "3s"}, "http": {"requestTimeout": routing.timeout}},
        "healthCheck": {
            "passive": {
                "splitExternalLocalOriginErrors": True,
                "consecutiveLocalOriginFailures": 2,
                "consecutiveGatewayErrors": 0,
                "consecutive5XxErrors": 0,
                "interval": "1s",
                "baseEjectionTime": "10s",
                "maxEjectionPercent": 50,
            },
            # With every pod ejected an answer from one of them is likelier than one from nobody.
            "panicThreshold": 1,
        },
    }
    if routing.retries:
        spec["retry"] = {
            "numRetries": routing.retries,
            "retryOn": {"triggers": ["connect-failure", "refused-stream"]},
            "perRetry": {"backOff": {"baseInterval": "25ms", "maxInterval": "250ms"}},
        }
    return {
        "apiVersion": ENVOY_GATEWAY_API,
        "kind": "BackendTrafficPolicy",
        "metadata": _meta(parent, parent.metadata.name),
        "spec": spec,
    }


def _route_targets(parent: ModelDeployment, *, by_host: bool) -> list[Manifest]:
    kinds = {"httproute": "HTTPRoute", "grpcroute": "GRPCRoute"}
    hidden = "" if by_host else f"httproute/{names.host_route(parent)}"
    split = [key.split("/") for key in names.route_keys(parent) if key != hidden]
    return [{"group": "gateway.networking.k8s.io", "kind": kinds[kind], "name": name} for kind, name in split]


def security_policy(parent: ModelDeployment, *, by_host: bool) -> Manifest | None:
    """Ask callers for a token, where the object wants one."""
    if parent.spec.access is None:
        return None
    jwt = parent.spec.access.jwt
    provider: Manifest = {"name": "jwt", "issuer": jwt.issuer, "audiences": list(jwt.audiences)}
    if jwt.jwks_uri:
        provider["remoteJWKS"] = {"uri": jwt.jwks_uri}
    elif jwt.jwks_config_map:
        reference = {"group": "", "kind": "ConfigMap", "name": jwt.jwks_config_map.name}
        provider["localJWKS"] = {"type": "ValueRef", "valueRef": reference}
    spec: Manifest = {"targetRefs": _route_targets(parent, by_host=by_host), "jwt": {"providers": [provider]}}
    if jwt.claims:
        claims = [{"name": claim.name, "values": list(claim.values)} for claim in jwt.claims]
        spec["authorization"] = {
            "defaultAction": "Deny",
            "rules": [
                {"name": "claims", "action": "Allow", "principal": {"jwt": {"provider": "jwt", "claims": claims}}}
            ],
        }
    return {
        "apiVersion": ENVOY_GATEWAY_API,
        "kind": "SecurityPolicy",
        "metadata": _meta(parent, parent.metadata.name),
        "spec": spec,
    }
