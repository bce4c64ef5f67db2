"""What does a ModelDeployment want next, given what is seen?"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from loadline_contracts.conditions import ConditionType
from loadline_contracts.modeldeployment import (
    ArmWeight,
    Condition,
    ModelDeployment,
    ModelDeploymentStatus,
    ModelStatus,
    RevisionStatus,
    RevisionTemplate,
    RolloutStatus,
    TrafficStatus,
)

from loadline_operators.model_facts import COPYING, NOT_ASKED_YET, UNDER_WAY, short_sha256
from loadline_operators.modeldeployment import children, conditions, names
from loadline_operators.modeldeployment.conditions import View
from loadline_operators.modeldeployment.diagnosis import serving_image
from loadline_operators.modeldeployment.durations import parse_duration
from loadline_operators.modeldeployment.rollout import (
    Arm,
    Evidence,
    Limits,
    Member,
    Rollout,
    advance,
    arms,
)
from loadline_operators.planning import EnvoyFact, Manifest, Observed, Plan, PlanSettings, Resolution

LOOK_AGAIN: Final = timedelta(milliseconds=500)
"""How soon to look again while Envoys are waited for."""
LOOK_LATER: Final = timedelta(seconds=5)
"""How soon to look again while something else is waited for that has events of its own."""


@dataclass(frozen=True, kw_only=True)
class _Drain:
    """Which revisions' only pod stands on a node that is being emptied."""

    since: datetime | None = None
    surging: frozenset[str] = frozenset()
    """Those that get one pod more, so that the only one may go."""
    relaxed: frozenset[str] = frozenset()
    """Those whose only pod may go without another, since none came in time."""


def plan(parent: ModelDeployment, observed: Observed, *, settings: PlanSettings, now: datetime) -> Plan:
    """Decide the children that shall exist, and say what is so."""
    observed = replace(observed, resolution=_remembered(parent, observed.resolution))
    template = wanted_template(parent, observed, settings)
    wanted = _revision(parent, template) if template else None
    before = _from_status(parent.status)
    rollout = advance(before, wanted, _evidence(parent, observed, before), _limits(parent, settings), now=now)
    templates = {revision.name: revision.template for revision in parent.status.revisions}
    if template and wanted:
        templates[wanted] = template
    drain = _drain(parent, observed, rollout, settings, now=now)
    traffic = _traffic(parent, observed, rollout, templates)
    view = View(
        parent=parent,
        observed=observed,
        rollout=rollout,
        wanted=wanted,
        templates=templates,
        acked=_acked(parent, observed, arms(rollout)),
        surging=bool(drain.surging),
        unprotected=bool(drain.surging & drain.relaxed),
        settings=settings,
        now=now,
    )
    status = _status(view, traffic, drain)
    hostname_is_ours = not observed.hostname_holder
    return Plan(
        foundation=_foundation(parent, rollout, drain, settings, hostname_is_ours=hostname_is_ours),
        building=_building(parent, rollout, templates, drain, settings, hostname_is_ours=hostname_is_ours),
        status=status,
        requeue_after=_look_again(view, status.conditions),
    )


def _remembered(parent: ModelDeployment, resolution: Resolution) -> Resolution:
    """Take the status's word for the model while nothing newer is known, as after a restart."""
    known, said = parent.status.model, conditions.last_said(parent, ConditionType.MODEL_RESOLVED)
    if said is None or _is_news(parent, resolution, said):
        return resolution
    if said.status == "True" and known and _is_the_same_model(parent, known):
        why = said.message.partition(conditions.UNCHECKED)[2]
        return replace(
            resolution,
            state="resolved",
            version=known.version,
            digest=known.digest,
            stale=bool(why),
            reason=said.reason if why else "",
            message=why,
        )
    if said.status != "True" and said.observed_generation == parent.metadata.generation:
        return replace(
            resolution,
            state="failed" if said.status == "False" else "pending",
            reason=said.reason,
            message=said.message,
        )
    return resolution


def _is_news(parent: ModelDeployment, resolution: Resolution, said: Condition) -> bool:
    if resolution.reason != COPYING or parent.spec.model.sha256 is None:
        return resolution.reason != NOT_ASKED_YET
    # Why a plain file could not be had is said until it can: it is always the same file. An alias may have moved.
    failed = said.status != "True" and said.reason not in UNDER_WAY
    return not failed or said.observed_generation != parent.metadata.generation


def _is_the_same_model(parent: ModelDeployment, known: ModelStatus) -> bool:
    sha256 = parent.spec.model.sha256
    return known.uri == parent.spec.model.uri and (sha256 is None or known.version == short_sha256(sha256))


def wanted_template(parent: ModelDeployment, observed: Observed, settings: PlanSettings) -> RevisionTemplate | None:
    """Return all that makes the wanted revision's pods; None while the model is not resolved or no image runs it."""
    resolution, image = observed.resolution, serving_image(parent, settings)
    if resolution.state != "resolved" or resolution.uri != parent.spec.model.uri or not image:
        return None
    return RevisionTemplate(
        model_uri=resolution.uri,
        model_version=resolution.version,
        digest=resolution.digest,
        image=image,
        runtime=parent.spec.runtime,
        pod=parent.spec.pod,
    )


def _revision(parent: ModelDeployment, template: RevisionTemplate) -> str:
    """Return the name of the revision that a template makes: the one that it has in status, or else a new one.

    A name is a hash of all fields, so a version of the operator that knows one field more would give every object's
    pods a new name. What says the same, with that field's default, is the same revision.
    """
    known = (revision.name for revision in parent.status.revisions if revision.template == template)
    return next(known, "") or names.revision_name(template)


def _from_status(status: ModelDeploymentStatus) -> Rollout:
    members = {
        revision.name: Member(revision=revision.name, slot=revision.slot, since=revision.since)
        for revision in status.revisions
    }
    by_role = {revision.role: members[revision.name] for revision in status.revisions}
    return Rollout(
        stable=by_role.get("stable"),
        target=by_role.get("target"),
        retiring=tuple(members[revision.name] for revision in status.revisions if revision.role == "retiring"),
        step=status.rollout.step if status.rollout else None,
        since=status.rollout.since if status.rollout else None,
        acked_since=status.traffic.acked_since,
    )


def _limits(parent: ModelDeployment, settings: PlanSettings) -> Limits:
    return Limits(drain=parse_duration(parent.spec.routing.timeout), grace=settings.drain_grace)


def _evidence(parent: ModelDeployment, observed: Observed, rollout: Rollout) -> Evidence:
    stable, target = rollout.stable, rollout.target
    leaver = target if rollout.step == "Leaving" else stable
    needed = parent.spec.replicas
    return Evidence(
        target_ready=_ready(observed, target),
        stable_ready=_ready(observed, stable),
        needed=needed,
        acked=_acked(parent, observed, arms(rollout)),
        target_healthy=target is not None
        and all(healthy >= needed for healthy in _healthy(parent, observed, target.slot)),
        active_on_leaver=_active(observed, leaver),
    )


def _ready(observed: Observed, member: Member | None) -> int:
    return observed.ready_pods(member.revision) if member else 0


def _acked(parent: ModelDeployment, observed: Observed, wanted: tuple[Arm, ...]) -> bool:
    """Return whether every Envoy shows these arms on every route.

    An arm without ready pods may be missing: Envoy Gateway gives its share to a cluster that answers 503, and a
    change must not wait for what cannot come before the change is through.
    """
    weights = {arm.slot: arm.weight for arm in wanted}
    alive = {arm.slot: arm.weight for arm in wanted if observed.ready_pods(arm.revision)}
    shown = _all_shown(parent, observed)
    return bool(shown) and bool(weights) and all(seen in (weights, alive) for seen in shown)


def _all_shown(parent: ModelDeployment, observed: Observed) -> list[dict[int, int] | None]:
    """Return the split of every route in every Envoy; None where an Envoy does not show the route."""
    return [_weights(envoy, key) for envoy in observed.envoys for key in route_keys(parent, observed)]


def route_keys(parent: ModelDeployment, observed: Observed) -> tuple[str, ...]:
    """Return the routes that shall exist: the one by hostname not while another object holds the hostname."""
    by_host = f"httproute/{names.host_route(parent)}"
    return tuple(key for key in names.route_keys(parent) if key != by_host or not observed.hostname_holder)


def _weights(envoy: EnvoyFact, key: str) -> dict[int, int] | None:
    if envoy.routes is None or key not in envoy.routes:
        return None
    return {slot: arm.weight for slot, arm in envoy.routes[key].items() if arm.weight > 0}


def _healthy(parent: ModelDeployment, observed: Observed, slot: int) -> list[int]:
    counts = []
    for envoy in observed.envoys:
        for key in route_keys(parent, observed):
            arm = (envoy.routes or {}).get(key, {}).get(slot)
            counts.append(arm.healthy if arm else 0)
    return counts or [0]


def _active(observed: Observed, member: Member | None) -> int:
    if member is None:
        return 0
    return sum(
        slots[member.slot].active
        for envoy in observed.envoys
        for slots in (envoy.routes or {}).values()
        if member.slot in slots
    )


def _drain(
    parent: ModelDeployment, observed: Observed, rollout: Rollout, settings: PlanSettings, *, now: datetime
) -> _Drain:
    """Decide which revisions' only pod must leave its node, and for how long that has been waited for."""
    stands = {pod.revision for pod in observed.pods if pod.node in observed.cordoned_nodes and not pod.terminating}
    alone = frozenset(member.revision for member in _members(rollout)) & stands
    if parent.spec.replicas != 1 or not alone:
        return _Drain()
    since = parent.status.surging_since or now
    late = now - since >= settings.surge_deadline
    # Only a revision that the route names is worth another pod: any other is on its way in or out.
    in_route = frozenset(arm.revision for arm in arms(rollout))
    relaxed = frozenset(revision for revision in alone if late and observed.ready_pods(revision) < 2)
    return _Drain(since=since, surging=alone & in_route, relaxed=relaxed)


def _foundation(
    parent: ModelDeployment, rollout: Rollout, drain: _Drain, settings: PlanSettings, *, hostname_is_ours: bool
) -> tuple[Manifest, ...]:
    """Return what must stand before a pod starts or a caller is let in."""
    if rollout.stable is None:
        return ()
    access = children.security_policy(parent, by_host=hostname_is_ours)
    key = children.store_secret(parent, settings.store)
    revisions = [member.revision for member in _members(rollout)]
    return (
        children.service_account(parent),
        *((key,) if key else ()),
        children.network_policy(parent, settings),
        children.traffic_policy(parent, by_host=hostname_is_ours),
        *((access,) if access else ()),
        *(children.service(parent, revision) for revision in revisions),
        *(children.disruption_budget(parent, revision, relaxed=revision in drain.relaxed) for revision in revisions),
    )


def _building(
    parent: ModelDeployment,
    rollout: Rollout,
    templates: dict[str, RevisionTemplate],
    drain: _Drain,
    settings: PlanSettings,
    *,
    hostname_is_ours: bool,
) -> tuple[Manifest, ...]:
    """Return the pods and the ways to them."""
    if rollout.stable is None:
        return ()
    deployments = [
        children.deployment(
            parent,
            member.revision,
            templates[member.revision],
            replicas=parent.spec.replicas + (member.revision in drain.surging),
            settings=settings,
        )
        for member in _members(rollout)
    ]
    return (*deployments, *children.routes(parent, arms(rollout), settings, by_host=hostname_is_ours))


def _members(rollout: Rollout) -> tuple[Member, ...]:
    first = (member for member in (rollout.stable, rollout.target) if member is not None)
    return (*first, *rollout.retiring)


def _traffic(
    parent: ModelDeployment, observed: Observed, rollout: Rollout, templates: dict[str, RevisionTemplate]
) -> TrafficStatus:
    before = parent.status.traffic
    wanted = arms(rollout)
    desired = [ArmWeight(revision=arm.revision, weight=arm.weight) for arm in wanted]
    acked = _shown(parent, observed, rollout)
    return TrafficStatus(
        desired=desired,
        acked=acked,
        acked_since=rollout.acked_since,
        generation=before.generation + (desired != before.desired),
        envoys=len(observed.envoys),
        summary=summarise(acked, templates),
    )


def _shown(parent: ModelDeployment, observed: Observed, rollout: Rollout) -> list[ArmWeight]:
    """Return the split that all Envoys agree on; nothing when they do not."""
    by_slot = {member.slot: member.revision for member in reversed(_members(rollout))}
    shown = _all_shown(parent, observed)
    if not shown or shown[0] is None or any(seen != shown[0] for seen in shown):
        return []
    return [
        ArmWeight(revision=by_slot[slot], weight=weight) for slot, weight in sorted(shown[0].items()) if slot in by_slot
    ]


def summarise(acked: list[ArmWeight], templates: dict[str, RevisionTemplate]) -> str:
    """Say the split in a word: ``v3 100%``."""
    parts = []
    for arm in sorted(acked, key=lambda arm: -arm.weight):
        template = templates.get(arm.revision)
        version = template.model_version if template else arm.revision
        parts.append(f"{label(version)} {arm.weight / 10_000:g}%")
    return " ".join(parts)


def label(version: str) -> str:
    """Write a registry version as v7, anything else as it is."""
    return f"v{version}" if version.isdigit() else version


def _status(view: View, traffic: TrafficStatus, drain: _Drain) -> ModelDeploymentStatus:
    parent, observed, rollout = view.parent, view.observed, view.rollout
    revisions = [_revision_status(member, view) for member in _members(rollout)]
    most = _most_traffic(traffic, revisions)
    wanted_total = parent.spec.replicas
    extra = max(0, sum(revision.replicas for revision in revisions) - wanted_total) if most else 0
    resolution = observed.resolution
    resolved = resolution.state == "resolved"
    return ModelDeploymentStatus(
        observed_generation=parent.metadata.generation,
        conditions=conditions.judge(view),
        model=ModelStatus(uri=resolution.uri, version=resolution.version, digest=resolution.digest)
        if resolved
        else parent.status.model,
        revisions=revisions,
        rollout=_rollout_status(view),
        traffic=traffic,
        replicas=most.replicas if most else 0,
        ready_replicas=most.ready_replicas if most else 0,
        extra_replicas=extra,
        selector=_selector(parent, most),
        served_version=label(most.model_version) if most else "",
        replica_summary=_replica_summary(most, wanted_total, extra),
        surging_since=drain.since,
        url=f"{view.settings.gateway.url}{names.path_prefix(parent)}",
        grpc_authority=names.grpc_authority(parent, view.settings.gateway.grpc_domain),
    )


def _most_traffic(traffic: TrafficStatus, revisions: list[RevisionStatus]) -> RevisionStatus | None:
    weights = {arm.revision: arm.weight for arm in traffic.desired}
    return max(revisions, key=lambda revision: weights.get(revision.name, -1), default=None)


def _selector(parent: ModelDeployment, revision: RevisionStatus | None) -> str:
    if revision is None:
        return ""
    return ",".join(f"{key}={value}" for key, value in names.revision_selector(parent, revision.name).items())


def _replica_summary(most: RevisionStatus | None, wanted: int, extra: int) -> str:
    ready = min(most.ready_replicas, wanted) if most else 0
    return f"{ready}/{wanted}+{extra}" if extra else f"{ready}/{wanted}"


def _revision_status(member: Member, view: View) -> RevisionStatus:
    rollout, observed = view.rollout, view.observed
    template = view.templates[member.revision]
    deployment = observed.deployments.get(member.revision)
    return RevisionStatus(
        name=member.revision,
        role="stable" if member is rollout.stable else "target" if member is rollout.target else "retiring",
        slot=member.slot,
        model_version=template.model_version,
        since=member.since,
        template=template,
        replicas=deployment.replicas if deployment else 0,
        ready_replicas=_ready(observed, member),
    )


def _rollout_status(view: View) -> RolloutStatus | None:
    rollout = view.rollout
    if rollout.step is None or rollout.since is None:
        return None
    return RolloutStatus(step=rollout.step, since=rollout.since, message=conditions.step_message(view))


def _look_again(view: View, judged: list[Condition]) -> timedelta | None:
    """Decide how soon to look again, since Envoys send no events; everything else wakes by itself."""
    rollout = view.rollout
    if rollout.stable is None:
        return None
    if rollout.step in {"Entering", "Shifting", "Leaving"} or rollout.retiring:
        return LOOK_AGAIN
    if rollout.acked_since is None and _ready(view.observed, rollout.stable) >= view.parent.spec.replicas:
        return LOOK_AGAIN
    if view.surging or rollout.step == "Warming" or conditions.is_not_ready(judged):
        return LOOK_LATER
    return None
