"""Does every model get its answer, whatever another one does?"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loadline_operators.planning import Resolution
from structlog.testing import capture_logs
from structlog.typing import EventDict
from support.models_in_memory import Asking, Files, Models, onnx
from support.resolving import has_failed, is_resolved


def is_a_fault(found: Resolution) -> bool:
    return found.reason == "InternalError"


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """What was logged; drawing the stacks of faults that are meant to be there takes longer than everything else."""
    with capture_logs() as events:
        yield events


FAULT = AttributeError("by a fault of the operator")


async def test_an_unforeseen_error_of_one_version_is_said_and_tried_again_while_others_are_followed(
    tmp_path: Path, logged: list[EventDict]
) -> None:
    models = Models(bad=FAULT, good=onnx())
    async with Asking(models, tmp_path).running() as asking:
        failed = await asking.until(is_a_fault, "models:/bad/1")
        other = await asking.until(is_resolved, "models:/good/1")
        models.versions["bad", "1"] = onnx()
        mended = await asking.until(is_resolved, "models:/bad/1")
    assert (failed.state, "(AttributeError)" in failed.message) == ("pending", True)
    assert mended.digest == other.digest
    assert any(event.get("exc_info") for event in logged)


async def test_an_unforeseen_error_at_an_alias_is_said_and_tried_again_while_others_are_followed(
    tmp_path: Path,
) -> None:
    models = Models(bad=onnx(), good=onnx())
    models.champions["bad"] = FAULT
    async with Asking(models, tmp_path).running() as asking:
        failed = await asking.until(is_a_fault, "models:/bad@champion")
        await asking.until(is_resolved, "models:/good@champion")
        models.champions["bad"] = "1"
        await asking.until(is_resolved, "models:/bad@champion")
    assert failed.state == "pending"


async def test_an_unforeseen_error_leaves_a_model_that_was_found_as_it_was(tmp_path: Path) -> None:
    models = Models(digits=onnx())
    async with Asking(models, tmp_path).running() as asking:
        before = await asking.until(is_resolved, "models:/digits@champion")
        models.versions["digits", "1"] = RecursionError()
        after = await asking.until(is_a_fault, "models:/digits@champion")
    assert (after.state, after.stale, after.digest) == ("resolved", True, before.digest)


async def test_one_unreadable_description_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    models = Models(bad=Files(MLmodel=b"utc_time_created: !!timestamp x"), good=onnx())
    async with Asking(models, tmp_path).running() as asking:
        refused = await asking.until(has_failed, "models:/bad/1")
        await asking.until(is_resolved, "models:/good/1")
    assert refused.reason == "NotServable"


async def test_a_description_that_is_too_large_is_not_called_a_model_that_is(tmp_path: Path) -> None:
    models = Models(bad=Files(MLmodel=b" " * (1 << 20)))
    async with Asking(models, tmp_path).running() as asking:
        refused = await asking.until(has_failed, "models:/bad/1")
    assert (refused.reason, "MLmodel is larger" in refused.message) == ("NotServable", True)
