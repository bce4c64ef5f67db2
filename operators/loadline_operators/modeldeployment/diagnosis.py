"""What keeps a model from being served, and what helps?"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from loadline_contracts.conditions import Reason
from loadline_contracts.modeldeployment import ModelDeployment

from loadline_operators.planning import GPUS, AttachmentFact, DeploymentFact, Observed, PlanSettings, PodFact


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A cause with its remedy."""

    reason: Reason
    message: str


@dataclass(frozen=True, kw_only=True)
class GatewayProblem(Problem):
    """What stands between callers and pods."""

    answered: Literal["True", "False", "Unknown"]
    """Whether requests are answered all the same."""


_REMEDIES: Final = {
    Reason.NOT_ONNX: "Register the model as ONNX",
    Reason.UNSUPPORTED_OPERATOR: "Export the model with operators and an opset that the runtime has",
    Reason.MODEL_LOAD_FAILED: "Export the model again and check it with ONNX Runtime",
    Reason.WARMUP_FAILED: "Check that the model runs on inputs of its own signature",
    Reason.BAD_SETTINGS: "Check spec.runtime and spec.pod.env, or the chart's address of the object store",
    Reason.GPU_UNAVAILABLE: "Check the node's NVIDIA driver and container runtime, which spec.pod.scheduling names as "
    "runtimeClassName, and what spec.pod.resources asks for; or set spec.runtime.device to cpu",
    Reason.DIGEST_MISMATCH: "Remove the damaged copy from the object store, or register the model again",
}


_MISSING_GPU: Final = re.compile(rf"Insufficient ({re.escape(GPUS)}[-./\w]*\w)")
"""How the scheduler says that nodes have no GPU, or none left."""


def serving_image(parent: ModelDeployment, settings: PlanSettings) -> str:
    """Return the image of the object's pods; empty where the installation has none for the device."""
    own = settings.serving_gpu_image if parent.spec.runtime.device == "gpu" else settings.serving_image
    return parent.spec.pod.image or own


def missing_image(parent: ModelDeployment, settings: PlanSettings) -> Problem | None:
    """Return that no image runs the model on the device that the object asks for."""
    if serving_image(parent, settings):
        return None
    return Problem(
        reason=Reason.GPU_IMAGE_MISSING,
        message="spec.runtime.device is gpu, and the installation has no image for it: set the chart's value "
        "images.servingGpu, or spec.pod.image",
    )


def diagnose(pods: Sequence[PodFact], deployment: DeploymentFact | None) -> Problem | None:
    """Return the first cause that is found, the surest first; None where the pods run or just start."""
    if deployment is not None and deployment.failure:
        return Problem(
            reason=Reason.POD_REJECTED,
            message=f"no pod can be made: {deployment.failure}. Change spec.pod, or the namespace's quota or policy",
        )
    for look in _LOOKS:
        for pod in pods:
            if not pod.ready and (problem := look(pod)):
                return problem
    return None


def _own_words(pod: PodFact) -> Problem | None:
    """Read what the serving program itself left in the termination log."""
    if not pod.termination_message.startswith("{"):
        return None
    try:
        words = json.loads(pod.termination_message)
        reason, message = Reason(words["reason"]), str(words["message"])
    except (ValueError, KeyError, TypeError):
        return None
    remedy = _REMEDIES.get(reason)
    ending = f". {remedy}" if remedy else ""
    return Problem(reason=reason, message=message.rstrip(".") + ending)


def _out_of_memory(pod: PodFact) -> Problem | None:
    if pod.terminated_reason != "OOMKilled":
        return None
    return Problem(
        reason=Reason.OUT_OF_MEMORY,
        message=f"pod {pod.name} needed more memory than its limit; raise spec.pod.resources.limits.memory",
    )


def _unschedulable(pod: PodFact) -> Problem | None:
    if not pod.unschedulable:
        return None
    if missing := _MISSING_GPU.search(pod.unschedulable):
        return Problem(
            reason=Reason.UNSCHEDULABLE,
            message=f"no node that may take pod {pod.name} has a free {missing[1]}: {pod.unschedulable} Add a node "
            "with a GPU and NVIDIA's device plugin, or ask for none in spec.runtime.device and spec.pod.resources",
        )
    return Problem(
        reason=Reason.UNSCHEDULABLE,
        message=f"no node takes pod {pod.name}: {pod.unschedulable} Lower spec.pod.resources.requests, loosen "
        "spec.pod.scheduling, or add nodes",
    )


def _image(pod: PodFact) -> Problem | None:
    if pod.waiting_reason not in {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"}:
        return None
    return Problem(
        reason=Reason.IMAGE_PULL_FAILED,
        message=f"pod {pod.name}: {pod.waiting_message}. Check spec.pod.image and spec.pod.imagePullSecrets",
    )


def _configuration(pod: PodFact) -> Problem | None:
    if pod.waiting_reason not in {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}:
        return None
    return Problem(
        reason=Reason.POD_FAILED,
        message=f"pod {pod.name}: {pod.waiting_message}. Check what spec.pod refers to",
    )


def _crash(pod: PodFact) -> Problem | None:
    if pod.restarts < 2:
        return None
    cause = pod.terminated_reason or "Error"
    return Problem(
        reason=Reason.POD_FAILED,
        message=f"pod {pod.name} ended {pod.restarts} times, last with {cause}; read its log",
    )


_LOOKS: Final[Sequence[Callable[[PodFact], Problem | None]]] = (
    _own_words,
    _out_of_memory,
    _unschedulable,
    _image,
    _configuration,
    _crash,
)


def missing_pods(pods: Sequence[PodFact]) -> str:
    """Say what the first pod that is not ready waits for, and where the cause can be read."""
    pod = next((pod for pod in pods if not pod.ready), None)
    if pod is None:
        return "there are fewer pods than wanted; the events of its Deployment say why"
    if not pod.node:
        return f"pod {pod.name} waits for a node; kubectl describe pod {pod.name} says why"
    if pod.fetching:
        return (
            f"in pod {pod.name} the init container fetch still brings the model's files; "
            f"kubectl logs {pod.name} -c fetch says why"
        )
    return f"pod {pod.name} is not ready; kubectl describe pod {pod.name} and kubectl logs {pod.name} say why"


_SHAPED_BY: Final = {
    "Deployment": "spec.pod",
    "HTTPRoute": "spec.routing",
    "GRPCRoute": "spec.routing",
    "BackendTrafficPolicy": "spec.routing",
    "SecurityPolicy": "spec.access",
}
"""The part of the spec that has a say in each kind of child."""


def refused_child(child: str, words: str) -> Problem:
    """Say what helps against the API server's refusal of ``KIND NAME``."""
    part = _SHAPED_BY.get(child.partition(" ")[0])
    change = f"the field of {part} that this names, or " if part else ""
    return Problem(
        reason=Reason.APPLY_REJECTED,
        message=f"{child} was refused: {words.rstrip('.')}. Change {change}the namespace's quota or admission policy "
        "that stands against it",
    )


def diagnose_gateway(parent: ModelDeployment, observed: Observed, settings: PlanSettings) -> GatewayProblem | None:
    """Return what keeps callers from the pods now; None where the gateway does its part."""
    if refused := [attachment for attachment in observed.attachments if attachment.accepted is False]:
        return _refused_attachment(parent, observed, settings, refused)
    place = settings.gateway.envoy_namespace
    silent = [envoy.pod for envoy in observed.envoys if envoy.routes is None]
    if not observed.envoys:
        gateway = f"{settings.gateway.namespace}/{settings.gateway.name}"
        return GatewayProblem(
            reason=Reason.GATEWAY_UNREACHABLE,
            message=f"no Envoy of gateway {gateway} is ready; look at its pods in namespace {place}",
            answered="False",
        )
    if silent:
        return GatewayProblem(
            reason=Reason.GATEWAY_UNREACHABLE,
            message=f"{len(silent)} of {len(observed.envoys)} Envoys do not answer the operator: {silent[0]}; look at "
            f"its log in namespace {place}, and at network policies between there and namespace {settings.namespace}",
            answered="Unknown" if len(silent) == len(observed.envoys) else "True",
        )
    return None


def _refused_attachment(
    parent: ModelDeployment, observed: Observed, settings: PlanSettings, refused: Sequence[AttachmentFact]
) -> GatewayProblem:
    """Name a policy first: Envoy Gateway answers 500 on every route of one that it cannot carry out."""
    policy = next((each for each in refused if not _is_route(each)), None)
    first = policy or refused[0]
    open_routes = [each for each in observed.attachments if _is_route(each) and each not in refused]
    remedy = _attachment_remedy(parent, first, settings)
    return GatewayProblem(
        reason=Reason.POLICY_REJECTED if policy else Reason.ROUTE_REJECTED,
        message=f"{first.kind} {first.name}: {first.message.rstrip('.')}. {remedy}",
        answered="True" if open_routes and not policy else "False",
    )


def _is_route(attachment: AttachmentFact) -> bool:
    return attachment.kind.endswith("Route")


def _attachment_remedy(parent: ModelDeployment, refused: AttachmentFact, settings: PlanSettings) -> str:
    if _is_route(refused):
        gateway = f"{settings.gateway.namespace}/{settings.gateway.name}"
        return f"Let gateway {gateway} take routes of namespace {parent.metadata.namespace}, or change spec.routing"
    keys = parent.spec.access.jwt.jwks_config_map if parent.spec.access else None
    if refused.kind == "SecurityPolicy" and keys is not None:
        return (
            f"Create ConfigMap {keys.name} in namespace {parent.metadata.namespace} with the issuer's keys under "
            "jwks, or change spec.access"
        )
    part = _SHAPED_BY[refused.kind]
    return f"Change {part}, and remove any other {refused.kind} for these routes"
