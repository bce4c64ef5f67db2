"""Whether model pods come to the object store with the right key, or with none."""

from dataclasses import replace
from typing import Any

import pytest
from loadline_operators.modeldeployment.plan import plan
from loadline_operators.planning import Observed
from support.worlds import NOW, SETTINGS, parent, resolved


def children(**store: Any) -> dict[str, dict[str, Any]]:
    settings = replace(SETTINGS, store=replace(SETTINGS.store, **store))
    made = plan(parent(), Observed(resolution=resolved()), settings=settings, now=NOW).children
    return {child["kind"]: child for child in made}


def variables(deployment: dict[str, Any]) -> dict[str, Any]:
    (fetch,) = deployment["spec"]["template"]["spec"]["initContainers"]
    return {variable["name"]: variable for variable in fetch["env"] if variable["name"].startswith("AWS_")}


def test_pods_show_the_readers_key_from_a_secret_of_their_own() -> None:
    made = children()

    named = {variable["valueFrom"]["secretKeyRef"]["name"] for variable in variables(made["Deployment"]).values()}
    assert named == {made["Secret"]["metadata"]["name"]}
    assert made["Secret"]["stringData"] == {"accessKeyId": "reader", "secretAccessKey": "hidden"}


@pytest.mark.parametrize(
    "store",
    [
        pytest.param({"reader_access_key_id": "", "reader_secret_access_key": ""}, id="s3-without-a-key"),
        pytest.param({"url": "gs://models", "endpoint": ""}, id="keys-are-for-s3"),
    ],
)
def test_pods_that_come_as_who_they_are_hold_no_key_not_even_an_empty_one(store: dict[str, str]) -> None:
    made = children(**store)

    assert "Secret" not in made
    assert variables(made["Deployment"]) == {}
