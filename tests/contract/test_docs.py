"""Whether the page for users speaks of everything that they can set."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from loadline_contracts.conditions import Reason
from loadline_contracts.modeldeployment import Contract, Runtime
from pydantic.alias_generators import to_camel

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text()


def settings(part: Contract, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value below a part of the spec, with its default as YAML has it."""
    for name in type(part).model_fields:
        value, place = getattr(part, name), f"{path}{to_camel(name)}"
        if isinstance(value, Contract):
            yield from settings(value, f"{place}.")
        else:
            yield place, str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(("path", "default"), list(settings(Runtime())), ids=str)
def test_serving_md_names_each_field_of_the_runtime_and_its_default(path: str, default: str) -> None:
    said = re.findall(rf"`(?:spec\.runtime\.)?{re.escape(path)}`[^\n]*?{re.escape(default)}", PAGE)

    assert said, f"{path} with its default {default}"


@pytest.mark.parametrize("reason", [Reason.GPU_IMAGE_MISSING, Reason.GPU_UNAVAILABLE, Reason.UNSCHEDULABLE])
def test_serving_md_names_what_may_stand_between_a_model_and_its_gpu(reason: Reason) -> None:
    assert f"`{reason}`" in PAGE
