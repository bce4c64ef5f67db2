"""Does an operator of this version leave alone what one of the version before made?

``tests/data/upgrade`` holds what that one left on a cluster: settled objects with their status, and their Deployments.
They were written by that version and are never made anew.
"""

from typing import Any

import pytest
import yaml
from loadline_contracts.modeldeployment import TOTAL_WEIGHT, ModelDeployment
from loadline_operators.modeldeployment.names import route_keys
from loadline_operators.planning import DeploymentFact, Observed
from support.worlds import DATA, envoy, look, pods, resolved, with_status

KEPT = sorted((DATA / "upgrade").glob("*.yaml"))


def what_is_there(name: str) -> tuple[ModelDeployment, dict[str, Any], Observed]:
    """Read an object of the version before, its Deployment, and the world in which it had settled."""
    body, deployment = yaml.safe_load_all((DATA / "upgrade" / f"{name}.yaml").read_text())
    subject = ModelDeployment.model_validate(body)
    (revision,) = subject.status.revisions
    replicas = subject.spec.replicas
    return (
        subject,
        deployment,
        Observed(
            resolution=resolved(subject.spec.model.uri),
            deployments={revision.name: DeploymentFact(revision=revision.name, replicas=replicas, ready=replicas)},
            pods=pods(revision.name, replicas),
            envoys=tuple(envoy(each, route_keys(subject), {0: TOTAL_WEIGHT}) for each in ("envoy-a", "envoy-b")),
        ),
    )


def test_there_are_objects_of_the_version_before() -> None:
    assert [path.stem for path in KEPT] == ["full", "minimal"]


@pytest.mark.parametrize("name", [path.stem for path in KEPT])
def test_an_upgrade_changes_neither_the_revision_of_an_object_nor_its_pods(name: str) -> None:
    subject, deployment, world = what_is_there(name)
    planned = look(subject, world)

    assert [revision.name for revision in planned.status.revisions] == [subject.status.revisions[0].name]
    assert [child for child in planned.children if child["kind"] == "Deployment"] == [deployment]


@pytest.mark.parametrize("name", [path.stem for path in KEPT])
def test_a_second_look_after_an_upgrade_changes_nothing(name: str) -> None:
    subject, _, world = what_is_there(name)
    upgraded = with_status(subject, look(subject, world).status)

    assert look(upgraded, world).status == upgraded.status


def test_a_field_that_came_with_the_upgrade_makes_a_revision_once_it_is_used() -> None:
    subject, _, world = what_is_there("minimal")
    runtime = subject.spec.runtime.model_copy(update={"memory_arena": False})
    used = subject.model_copy(update={"spec": subject.spec.model_copy(update={"runtime": runtime})})
    before, after = look(used, world).status.revisions

    assert before.name == subject.status.revisions[0].name
    assert (after.role, after.template.runtime.memory_arena) == ("target", False)
