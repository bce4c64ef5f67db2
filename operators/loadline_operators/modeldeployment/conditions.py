"""What does the status say, and with which numbers?

``JUDGES`` is the list of conditions; each function looks at one concern and returns its status, reason and sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from loadline_contracts.conditions import ConditionType, Reason
from loadline_contracts.modeldeployment import Condition, ModelDeployment, RevisionTemplate

from loadline_operators.modeldeployment.diagnosis import (
    GatewayProblem,
    Problem,
    diagnose,
    diagnose_gateway,
    missing_image,
    missing_pods,
    refused_child,
)
from loadline_operators.modeldeployment.rollout import Member, Rollout
from loadline_operators.planning import Observed, PlanSettings, PodFact

UNCHECKED: Final = "; not checked again since: "
"""What stands in ModelResolved between an earlier answer and the reason why there is no newer one."""
_FETCH_PATIENCE: Final = timedelta(seconds=5)
_SILENCE_PATIENCE: Final = timedelta(seconds=30)
"""How long Envoys may be silent before that is more than a reading that failed."""
_REFUSAL_PATIENCE: Final = timedelta(seconds=5)
"""How long the gateway's controller may miss what a route or policy names, since it hears of each kind by itself."""


@dataclass(frozen=True, kw_only=True)
class View:
    """All that a condition may speak of."""

    parent: ModelDeployment
    observed: Observed
    rollout: Rollout
    wanted: str | None
    templates: Mapping[str, RevisionTemplate]
    acked: bool
    surging: bool
    unprotected: bool
    settings: PlanSettings
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One condition before it has a time."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str = ""


def yes(reason: Reason, message: str = "") -> Judgement:
    """Judge that it is so."""
    return Judgement(status="True", reason=reason, message=message)


def no(reason: Reason, message: str = "") -> Judgement:
    """Judge that it is not so."""
    return Judgement(status="False", reason=reason, message=message)


def judge(view: View) -> list[Condition]:
    """Return every condition; the time of the last transition moves only when the status does."""
    before = {condition.type: condition for condition in view.parent.status.conditions}
    return [_dated(kind, judges(view), before.get(kind), view) for kind, judges in JUDGES.items()]


def _dated(kind: ConditionType, judgement: Judgement, before: Condition | None, view: View) -> Condition:
    same = before is not None and before.status == judgement.status
    if before is not None and kind == ConditionType.PROGRESSING:
        # One change may follow another without a pause: each has its own start.
        same = same and before.reason == judgement.reason
    return Condition(
        type=kind,
        status=judgement.status,
        reason=judgement.reason,
        message=judgement.message[:4096],
        last_transition_time=before.last_transition_time if before is not None and same else view.now,
        observed_generation=view.parent.metadata.generation,
    )


def last_said(parent: ModelDeployment, kind: ConditionType) -> Condition | None:
    """Return a condition as the status has it."""
    return next((condition for condition in parent.status.conditions if condition.type == kind), None)


def is_not_ready(judged: Sequence[Condition]) -> bool:
    """Return whether the object has not reached its spec."""
    return any(condition.type == ConditionType.READY and condition.status != "True" for condition in judged)


def model_resolved(view: View) -> Judgement:
    """Judge whether ``spec.model`` names files that are known by digest."""
    resolution = view.observed.resolution
    if resolution.state == "failed":
        return no(Reason(resolution.reason), resolution.message)
    if resolution.state == "pending":
        return Judgement(
            status="Unknown",
            reason=Reason(resolution.reason) if resolution.reason else Reason.RESOLVING_MODEL,
            message=resolution.message or f"{view.parent.spec.model.uri} is being looked up",
        )
    found = f"{resolution.uri} is version {resolution.version}, {resolution.digest[:19]}"
    if resolution.stale:
        return yes(Reason(resolution.reason), f"{found}{UNCHECKED}{resolution.message}")
    return yes(Reason.RESOLVED, found)


def digest_changed(view: View) -> Judgement:
    """Judge whether the registry changed bytes under a version that is pinned."""
    resolution, known = view.observed.resolution, view.parent.status.model
    if resolution.changed_digest is None and known is not None and known.digest == resolution.digest:
        before = last_said(view.parent, ConditionType.DIGEST_CHANGED)
        if before is not None and before.status == "True":
            return yes(Reason.DIGEST_CHANGED, before.message)
    if not resolution.changed_digest:
        return no(Reason.DIGEST_PINNED)
    return yes(
        Reason.DIGEST_CHANGED,
        f"version {resolution.version} was {resolution.digest[:19]} and is now {resolution.changed_digest[:19]} in the "
        "registry; the first one stays. Register the new files as a new version to serve them",
    )


def files_unavailable(view: View) -> Judgement:
    """Judge whether new pods wait for the object store."""
    waiting = [pod for pod in view.observed.pods if pod.fetching and pod.age > _FETCH_PATIENCE]
    if view.observed.files_problem and waiting:
        return yes(
            Reason.MODEL_FILES_UNAVAILABLE,
            f"Pods that wait for model files: {len(waiting)}. {view.observed.files_problem.rstrip('.')}. "
            f"They go on by themselves when the object store {view.settings.store.url} answers; running pods stay",
        )
    return no(Reason.MODEL_FILES_AVAILABLE)


def hostname_conflict(view: View) -> Judgement:
    """Judge whether an older object holds the hostname."""
    holder, hostname = view.observed.hostname_holder, view.parent.spec.routing.hostname
    if not holder:
        return no(Reason.HOSTNAME_FREE)
    return yes(
        Reason.HOSTNAME_TAKEN,
        f"{hostname} belongs to the older ModelDeployment {holder}; choose another spec.routing.hostname. "
        "The path and gRPC addresses of this object work",
    )


def routed(view: View) -> Judgement:
    """Judge whether every Envoy shows the wanted weights."""
    if view.rollout.stable is None:
        return Judgement(status="Unknown", reason=Reason.NOT_READY, message="no revision to route to yet")
    if problem := diagnose_gateway(view.parent, view.observed, view.settings):
        return no(problem.reason, problem.message)
    envoys = view.observed.envoys
    if not view.acked:
        return Judgement(
            status="Unknown",
            reason=Reason.WAITING_FOR_GATEWAY,
            message=f"not every one of {len(envoys)} Envoys shows the wanted weights yet",
        )
    return yes(Reason.ROUTED, f"{len(envoys)} of {len(envoys)} Envoys lead to the ready pods by the wanted weights")


def serving(view: View) -> Judgement:
    """Judge whether requests are answered now."""
    members = [member for member in (view.rollout.stable, view.rollout.target) if member is not None]
    if not members:
        return no(Reason.NO_READY_PODS, "no revision has pods yet")
    serving_most = view.rollout.target if view.rollout.step == "Shifting" else view.rollout.stable
    count = _ready_pods(view, serving_most)
    if count == 0:
        return no(Reason.NO_READY_PODS, f"no pod of revision {_name(serving_most)} is ready")
    problem = _gateway_problem(view)
    if problem is not None and problem.answered != "True":
        return Judgement(status=problem.answered, reason=problem.reason, message=problem.message)
    return yes(Reason.SERVING, f"{count} ready pods of revision {_name(serving_most)} answer")


def ready(view: View) -> Judgement:
    """Judge whether the spec is reached."""
    if problem := blocking_problem(view):
        return no(problem.reason, problem.message)
    resolved = model_resolved(view)
    if resolved.status != "True":
        return no(resolved.reason, resolved.message)
    stable, needed = view.rollout.stable, view.parent.spec.replicas
    if stable is None or view.rollout.target is not None or stable.revision != view.wanted:
        return no(_step_reason(view), step_message(view))
    count = _ready_pods(view, stable)
    if count < needed:
        return no(Reason.NOT_READY, f"{count} of {needed} pods are ready")
    route = routed(view)
    if route.status != "True":
        return no(route.reason, route.message)
    return yes(Reason.READY, f"revision {stable.revision} serves all traffic with {count} ready pods")


def progressing(view: View) -> Judgement:
    """Judge whether a change is under way."""
    if view.surging:
        return yes(Reason.SURGING, "one pod more is started, since the node of the only one is being emptied")
    if view.rollout.target is not None:
        return yes(_step_reason(view), step_message(view))
    if view.rollout.retiring:
        return yes(Reason.DRAINING, f"revision {view.rollout.retiring[0].revision} gives up its pods")
    if view.observed.resolution.state == "pending":
        return yes(Reason.RESOLVING_MODEL, model_resolved(view).message)
    count, needed = _ready_pods(view, view.rollout.stable), view.parent.spec.replicas
    if view.rollout.stable is not None and count < needed:
        return yes(Reason.SCALING, f"{count} of {needed} pods are ready")
    return no(Reason.STEADY)


def degraded(view: View) -> Judgement:
    """Judge whether a person should look."""
    if problem := blocking_problem(view):
        return yes(problem.reason, problem.message)
    resolution = view.observed.resolution
    if resolution.state == "failed":
        return yes(Reason(resolution.reason), resolution.message)
    if gateway := _gateway_problem(view):
        return yes(gateway.reason, gateway.message)
    if view.unprotected:
        return yes(
            Reason.EVICTION_UNPROTECTED,
            "the only pod may be evicted without a replacement: one pod more did not get ready in "
            f"{view.settings.surge_deadline.total_seconds():.0f} s, and a drain is not blocked for ever. "
            "Add nodes or lower spec.pod.resources",
        )
    for concern in (hostname_conflict, digest_changed, files_unavailable):
        judgement = concern(view)
        if judgement.status == "True":
            return judgement
    return no(Reason.HEALTHY)


def blocking_problem(view: View) -> Problem | None:
    """Return what keeps the wanted revision from running, with its remedy; None where nothing does."""
    observed = view.observed
    if observed.foreign:
        return Problem(
            reason=Reason.NAME_TAKEN,
            message=f"{observed.foreign[0]} exists and belongs to something else; it is left alone. Rename this "
            "ModelDeployment or remove the other object",
        )
    if observed.refused:
        return refused_child(*next(iter(observed.refused.items())))
    if no_image := missing_image(view.parent, view.settings):
        return no_image if view.rollout.stable is None else _while_another_serves(no_image, view.rollout.stable)
    waited_for = view.rollout.target or view.rollout.stable
    if waited_for is None:
        return None
    pods = [pod for pod in observed.pods if pod.revision == waited_for.revision and not pod.terminating]
    problem = diagnose(pods, observed.deployments.get(waited_for.revision)) or _overdue(view, waited_for, pods)
    if problem is None or view.rollout.target is None or view.rollout.stable is None:
        return problem
    problem = Problem(reason=problem.reason, message=f"revision {waited_for.revision}: {problem.message.rstrip('.')}")
    return problem if view.rollout.step == "Shifting" else _while_another_serves(problem, view.rollout.stable)


def _while_another_serves(problem: Problem, stable: Member) -> Problem:
    return Problem(reason=problem.reason, message=f"{problem.message}. Revision {stable.revision} keeps serving")


def _overdue(view: View, waited_for: Member, pods: Sequence[PodFact]) -> Problem | None:
    """Return what a revision's pods wait for when they have been too few for longer than a start may take."""
    count, needed = _ready_pods(view, waited_for), view.parent.spec.replicas
    since = view.rollout.since or max(waited_for.since, _since(view, ConditionType.PROGRESSING, "True", Reason.SCALING))
    if count >= needed or not _is_late(view, since):
        return None
    files = files_unavailable(view)
    if files.status == "True":
        return Problem(reason=files.reason, message=files.message)
    return Problem(
        reason=Reason.PROGRESS_DEADLINE_EXCEEDED,
        message=f"{count} of {needed} pods are ready after {_patience(view)}: {missing_pods(pods)}",
    )


def _gateway_problem(view: View) -> GatewayProblem | None:
    """Return what keeps callers from the pods, once it is more than a moment's view."""
    problem = diagnose_gateway(view.parent, view.observed, view.settings)
    if problem is None:
        return _gateway_overdue(view)
    if not view.observed.envoys:
        return problem
    patience = _SILENCE_PATIENCE if problem.reason == Reason.GATEWAY_UNREACHABLE else _REFUSAL_PATIENCE
    return problem if view.now - _since(view, ConditionType.ROUTED, "False") >= patience else None


def _gateway_overdue(view: View) -> GatewayProblem | None:
    """Return that Envoys answer, but do not come to show what the route says."""
    rollout = view.rollout
    entering = rollout.step == "Entering"
    if rollout.stable is None or (view.acked and not entering):
        return None
    since = rollout.since or rollout.stable.since
    if not entering:
        since = max(since, _since(view, ConditionType.ROUTED, "Unknown"))
    if not _is_late(view, since):
        return None
    waits_for = step_message(view) if rollout.step else routed(view).message
    return GatewayProblem(
        reason=Reason.WAITING_FOR_GATEWAY,
        message=f"the gateway has not followed for {_patience(view)}: {waits_for}; look at Envoy Gateway's controller "
        f"in namespace {view.settings.gateway.envoy_namespace}",
        answered="True",
    )


def _since(view: View, kind: ConditionType, status: str, reason: Reason | None = None) -> datetime:
    """Return since when a condition has had a status; now if it had another, or another reason, at the last look."""
    before = last_said(view.parent, kind)
    same = before is not None and before.status == status and reason in {None, before.reason}
    return before.last_transition_time if before is not None and same else view.now


def _is_late(view: View, since: datetime) -> bool:
    return view.now - since >= view.settings.progress_deadline


def _patience(view: View) -> str:
    return f"{view.settings.progress_deadline.total_seconds() / 60:.0f} minutes"


def step_message(view: View) -> str:
    """Say what the current step waits for, with its numbers."""
    rollout, needed = view.rollout, view.parent.spec.replicas
    target, stable = _name(rollout.target), _name(rollout.stable)
    envoys, count = len(view.observed.envoys), _ready_pods(view, rollout.target)
    match rollout.step:
        case "Warming":
            return f"{count} of {needed} pods of revision {target} are ready; {stable} keeps all traffic until then"
        case "Entering":
            return f"revision {target} has a millionth until {envoys} Envoys show {needed} healthy pods of it"
        case "Shifting" if count < needed:
            return f"{count} of {needed} pods of revision {target} are ready; {stable} keeps its pods until all are"
        case "Shifting":
            return f"revision {target} takes over; {stable} is left when {envoys} Envoys have nothing running on it"
        case "Leaving":
            return f"revision {target} gives its place back to {stable}"
        case None:
            return f"revision {view.wanted or stable} is wanted" if rollout.stable else "no revision yet"


def _step_reason(view: View) -> Reason:
    match view.rollout.step:
        case "Warming":
            return Reason.WARMING
        case "Entering" | "Shifting":
            return Reason.SHIFTING_TRAFFIC
        case "Leaving":
            return Reason.TAKING_BACK
        case None:
            return Reason.NOT_READY


def _ready_pods(view: View, member: Member | None) -> int:
    return view.observed.ready_pods(member.revision) if member else 0


def _name(member: Member | None) -> str:
    return member.revision if member else "none"


JUDGES: Final[Mapping[ConditionType, Callable[[View], Judgement]]] = {
    ConditionType.READY: ready,
    ConditionType.SERVING: serving,
    ConditionType.PROGRESSING: progressing,
    ConditionType.DEGRADED: degraded,
    ConditionType.MODEL_RESOLVED: model_resolved,
    ConditionType.ROUTED: routed,
    ConditionType.MODEL_FILES_UNAVAILABLE: files_unavailable,
    ConditionType.DIGEST_CHANGED: digest_changed,
    ConditionType.HOSTNAME_CONFLICT: hostname_conflict,
}
