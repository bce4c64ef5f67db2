"""Does an operator that starts anew leave every status as it is, unless the world changed meanwhile?"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from loadline_contracts.conditions import ConditionType
from loadline_contracts.modeldeployment import ModelDeployment
from loadline_operators.model_errors import RegistryUnavailableError, SourceUnavailableError
from loadline_operators.modeldeployment.conditions import last_said
from loadline_operators.planning import Observed
from loadline_operators.resolution import LastKnown
from structlog.testing import capture_logs
from support.models_in_memory import WITHIN, Asking, Files, Models, onnx
from support.worlds import look, parent, with_status

ALIAS = "models:/digits@champion"
FILE = "https://files.example/digits.onnx"
SHA256 = hashlib.sha256(b"a model").hexdigest()
AWAY = RegistryUnavailableError("the registry", "ConnectError")
UNREADABLE = SourceUnavailableError("version 2", "HTTP 503")
FAULT = AttributeError("by a fault of the operator")
NOT_ONNX = Files(MLmodel=b"flavors: {sklearn: {}}")
A_WHILE = 0.3
"""Many times as long as a resolver of these tests needs to know everything anew."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Drawing the stacks of faults that are meant to be there takes longer than everything else."""
    with capture_logs():
        yield


@dataclass
class Object:
    """A ModelDeployment whose status is written as a reconciler does."""

    now: ModelDeployment
    writes: list[str] = field(default_factory=list)

    def look(self, asking: Asking) -> None:
        model, before = self.now.spec.model, self.now.status.model
        last = LastKnown(version=before.version, digest=before.digest) if before else None
        found = asking.watch(model.uri, model.sha256, last=last)
        status = look(self.now, Observed(resolution=found)).status
        if status != self.now.status:
            self.now = with_status(self.now, status)
            self.writes.append(self.says(ConditionType.MODEL_RESOLVED))

    async def until(self, kind: ConditionType, reason: str, asking: Asking) -> None:
        self.look(asking)
        async with asyncio.timeout(WITHIN):
            while self.says(kind) != reason:
                await asking.change()
                self.look(asking)

    async def for_a_while(self, asking: Asking) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(A_WHILE):
                while True:
                    self.look(asking)
                    await asking.change()

    def says(self, kind: ConditionType) -> str:
        said = last_said(self.now, kind)
        return said.reason if said else ""


@dataclass
class World:
    """What can be disturbed."""

    models: Models = field(default_factory=lambda: Models(digits=onnx()))
    site: dict[str, httpx.Response] = field(default_factory=lambda: {FILE: httpx.Response(200, content=b"a model")})


def the_registry_is_away(world: World) -> None:
    world.models.champions["digits"] = world.models.versions["digits", "1"] = AWAY


CASES: dict[str, tuple[Callable[[World], object], ConditionType, str]] = {
    "all is well": (lambda _: None, ConditionType.MODEL_RESOLVED, "Resolved"),
    "the registry is away": (the_registry_is_away, ConditionType.MODEL_RESOLVED, "RegistryUnavailable"),
    "the alias is gone": (
        lambda world: world.models.champions.clear(),
        ConditionType.MODEL_RESOLVED,
        "AliasNotFound",
    ),
    "the alias moved to what cannot be served": (
        lambda world: world.models.move("digits", "2", NOT_ONNX),
        ConditionType.MODEL_RESOLVED,
        "NotServable",
    ),
    "the alias moved to what cannot be read": (
        lambda world: world.models.move("digits", "2", UNREADABLE),
        ConditionType.MODEL_RESOLVED,
        "SourceUnavailable",
    ),
    "the alias moved to what is being copied": (
        lambda world: world.models.move("digits", "2", onnx(b"another", at_once=False)),
        ConditionType.MODEL_RESOLVED,
        "CopyingModel",
    ),
    "the bytes changed": (
        lambda world: world.models.move("digits", "1", onnx(b"other bytes")),
        ConditionType.DIGEST_CHANGED,
        "DigestChanged",
    ),
    "the operator has a fault": (
        lambda world: world.models.move("digits", "1", FAULT),
        ConditionType.MODEL_RESOLVED,
        "InternalError",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_restart_writes_no_status_when_nothing_changed(
    case: tuple[Callable[[World], object], ConditionType, str], tmp_path: Path
) -> None:
    disturb, kind, reason = case
    world, subject = World(), Object(parent(model={"uri": ALIAS}))
    async with Asking(world.models, tmp_path).running() as asking:
        await subject.until(ConditionType.MODEL_RESOLVED, "Resolved", asking)
        disturb(world)
        await subject.until(kind, reason, asking)
        await subject.for_a_while(asking)
    subject.writes.clear()
    async with Asking(world.models, tmp_path).running() as asking:
        await subject.for_a_while(asking)
    assert subject.writes == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(200, content=b"a model"), "Resolved"),
        (httpx.Response(200, content=b"another"), "DigestMismatch"),
        (httpx.Response(404), "SourceRefused"),
        (httpx.Response(503), "SourceUnavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_restart_writes_no_status_for_a_plain_file_whose_address_answers_as_before(
    answer: httpx.Response, reason: str, tmp_path: Path
) -> None:
    site, subject = {FILE: answer}, Object(parent(model={"uri": FILE, "sha256": SHA256}))
    async with Asking(Models(), tmp_path, site).running() as asking:
        await subject.until(ConditionType.MODEL_RESOLVED, reason, asking)
        await subject.for_a_while(asking)
    subject.writes.clear()
    async with Asking(Models(), tmp_path, site).running() as asking:
        await subject.for_a_while(asking)
    assert subject.writes == []


async def test_what_happened_while_no_operator_ran_is_said(tmp_path: Path) -> None:
    world, subject = World(), Object(parent(model={"uri": ALIAS}))
    async with Asking(world.models, tmp_path).running() as asking:
        await subject.until(ConditionType.MODEL_RESOLVED, "Resolved", asking)
        await subject.for_a_while(asking)
    copied = onnx(b"another", at_once=False)
    world.models.move("digits", "2", copied)
    subject.writes.clear()
    async with Asking(world.models, tmp_path).running() as asking:
        await subject.until(ConditionType.READY, "CopyingModel", asking)
        copied.go_on.set()
        await subject.until(ConditionType.MODEL_RESOLVED, "Resolved", asking)
    assert subject.writes == ["CopyingModel", "Resolved"]
    assert subject.now.status.model is not None
    assert subject.now.status.model.version == "2"
