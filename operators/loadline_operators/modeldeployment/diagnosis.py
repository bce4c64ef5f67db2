"""What keeps a revision's pods from running, and what helps?"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadline_contracts.conditions import Reason

from loadline_operators.planning import DeploymentFact, PodFact


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A cause with its remedy."""

    reason: Reason
    message: str


_REMEDIES: Final = {
    Reason.NOT_ONNX: "Register the model as ONNX",
    Reason.UNSUPPORTED_OPERATOR: "Export the model with operators and an opset that the runtime has",
    Reason.MODEL_LOAD_FAILED: "Export the model again and check it with ONNX Runtime",
    Reason.WARMUP_FAILED: "Check that the model runs on inputs of its own signature",
    Reason.BAD_SETTINGS: "Check spec.runtime and spec.pod.env, or the chart's address of the object store",
    Reason.DIGEST_MISMATCH: "Remove the damaged copy from the object store, or register the model again",
}


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
