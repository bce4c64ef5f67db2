"""What does a status say of its model while the registry has not answered, or leads to another version?"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from loadline_contracts.modeldeployment import ModelDeployment
from loadline_operators.planning import Observed, Plan, Resolution
from support.worlds import look, parent, resolved, settled, with_status

ALIAS = "models:/digits@champion"
FILE = "https://files.example/digits.onnx"
OLD, NEW = "ab" * 32, "cd" * 32


def unasked(uri: str = "models:/digits/1") -> Resolution:
    return Resolution(state="pending", uri=uri, reason="NotAskedYet", message="is looked up", changed_digest=None)


def of_file(sha256: str) -> Resolution:
    return replace(resolved(FILE), version=f"sha256:{sha256[:12]}")


def says(planned: Plan, kind: str) -> tuple[str, str]:
    said = next(condition for condition in planned.status.conditions if condition.type == kind)
    return said.status, said.reason


def edited(subject: ModelDeployment, **spec: object) -> ModelDeployment:
    metadata = subject.metadata.model_copy(update={"generation": subject.metadata.generation + 1})
    wanted: dict[str, Any] = {"model": subject.spec.model.model_dump(exclude_none=True), **spec}
    new = parent(**wanted)
    return new.model_copy(update={"metadata": metadata, "status": subject.status})


def away_from(resolution: Resolution) -> Resolution:
    return replace(resolution, stale=True, reason="RegistryUnavailable", message="no answer.", changed_digest=None)


def failed(resolution: Resolution) -> Resolution:
    return replace(resolution, state="failed", reason="AliasNotFound", message="Set the alias.", changed_digest=None)


def copying(resolution: Resolution) -> Resolution:
    return replace(resolution, state="pending", reason="CopyingModel", message="Version 2.", changed_digest=None)


def changed(resolution: Resolution) -> Resolution:
    return replace(resolution, changed_digest="sha256:" + "f" * 64)


@pytest.mark.parametrize("answer", [lambda it: it, away_from, failed, copying, changed])
def test_the_status_stays_whole_while_nothing_newer_is_known(
    answer: Callable[[Resolution], Resolution],
) -> None:
    subject, world = settled(parent(model={"uri": ALIAS}), resolved(ALIAS))
    subject = with_status(subject, look(subject, replace(world, resolution=answer(resolved(ALIAS)))).status)

    assert look(subject, replace(world, resolution=unasked(ALIAS))).status == subject.status


def test_a_new_object_is_not_resolved_before_anybody_was_asked() -> None:
    assert says(look(parent(), Observed(resolution=unasked())), "ModelResolved") == ("Unknown", "NotAskedYet")


def test_an_edit_of_something_else_needs_no_answer_of_the_registry() -> None:
    subject, world = settled(parent(), resolved())
    planned = look(edited(subject, replicas=1), replace(world, resolution=unasked()))

    assert says(planned, "ModelResolved") == ("True", "Resolved")
    assert says(planned, "Ready") == ("True", "Ready")


def test_a_failure_of_an_earlier_spec_says_nothing_of_the_present_one() -> None:
    gone = failed(unasked())
    subject = with_status(parent(), look(parent(), Observed(resolution=gone)).status)
    planned = look(edited(subject), Observed(resolution=unasked()))

    assert says(planned, "ModelResolved") == ("Unknown", "NotAskedYet")


@pytest.mark.parametrize("reason", ["NotAskedYet", "CopyingModel", "SourceUnavailable"])
def test_another_sha256_at_the_same_address_is_not_ready_until_that_file_is_there(reason: str) -> None:
    subject, world = settled(parent(model={"uri": FILE, "sha256": OLD}), of_file(OLD))
    wanted = edited(subject, model={"uri": FILE, "sha256": NEW})
    planned = look(wanted, replace(world, resolution=replace(unasked(FILE), reason=reason)))

    assert says(planned, "Ready") == ("False", reason)
    assert says(planned, "Serving") == ("True", "Serving")
    assert planned.status.observed_generation == wanted.metadata.generation
    assert len(planned.children) == len(look(subject, world).children)


@pytest.mark.parametrize("reason", ["ResolvingModel", "CopyingModel", "RegistryUnavailable", "InternalError"])
def test_an_alias_that_moved_is_not_ready_until_the_other_version_is_there(reason: str) -> None:
    subject, world = settled(parent(model={"uri": ALIAS}), resolved(ALIAS))
    moved = replace(resolved(ALIAS), state="pending", reason=reason, message="Version 2: not there.")
    planned = look(subject, replace(world, resolution=moved))

    assert says(planned, "Ready") == ("False", reason)
    assert says(planned, "ModelResolved") == ("Unknown", reason)
    assert says(planned, "Serving") == ("True", "Serving")
    assert planned.status.served_version == "v1"
    assert len(planned.children) == len(look(subject, world).children)


def test_changed_bytes_of_one_version_say_nothing_of_another() -> None:
    subject, world = settled(parent(model={"uri": ALIAS}), resolved(ALIAS))
    subject = with_status(subject, look(subject, replace(world, resolution=changed(resolved(ALIAS)))).status)
    moved = replace(resolved(ALIAS, version="2"), changed_digest=None)

    assert says(look(subject, replace(world, resolution=moved)), "DigestChanged") == ("False", "DigestPinned")
