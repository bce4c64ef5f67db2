from pathlib import Path
from typing import Any

import pytest
import yaml
from loadline_contracts.crd import UnstructuralSchemaError, model_deployment_crd, structural
from loadline_contracts.modeldeployment import ModelDeployment, ModelDeploymentSpec

ROOT = Path(__file__).resolve().parents[2]
ETCD_FRIENDLY = 64 * 1024


@pytest.mark.parametrize("folder", ["crds", "charts/loadline/files/crds"])
def test_the_committed_crd_is_the_one_that_the_contracts_make(folder: str) -> None:
    committed = yaml.safe_load((ROOT / folder / "modeldeployments.yaml").read_text())

    assert committed == model_deployment_crd()


def test_a_crd_stays_under_64_kib() -> None:
    assert (ROOT / "crds" / "modeldeployments.yaml").stat().st_size < ETCD_FRIENDLY


def test_a_union_that_no_structural_schema_can_say_is_refused() -> None:
    with pytest.raises(UnstructuralSchemaError, match="a union"):
        structural({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {}, ".spec.x")


def test_an_unknown_word_is_refused_and_not_dropped() -> None:
    with pytest.raises(UnstructuralSchemaError, match="prefixItems"):
        structural({"type": "array", "prefixItems": []}, {}, ".spec.x")


def test_pattern_and_length_of_map_keys_become_a_rule() -> None:
    made = structural(
        {"type": "object", "patternProperties": {"^a+$": {"type": "string"}}, "propertyNames": {"maxLength": 9}}, {}
    )

    assert made["additionalProperties"] == {"type": "string"}
    assert [rule["rule"] for rule in made["x-kubernetes-validations"]] == [
        "self.all(k, size(k) <= 9 && k.matches('^a+$'))"
    ]


@pytest.mark.parametrize(
    "keys",
    [
        {"propertyNames": {"maxLength": 9}, "additionalProperties": {"type": "string"}},
        {"propertyNames": {"minLength": 2}, "patternProperties": {"^a+$": {"type": "string"}}},
    ],
)
def test_a_constraint_of_map_keys_that_has_no_rule_is_refused_and_not_dropped(keys: dict[str, Any]) -> None:
    with pytest.raises(UnstructuralSchemaError, match="propertyNames"):
        structural({"type": "object", **keys}, {}, ".spec.x")


def test_no_rule_parses_a_quantity_that_the_pattern_refuses() -> None:
    resources = ModelDeployment.model_json_schema()["$defs"]["Resources"]
    (rule,) = (found["rule"] for found in resources["x-kubernetes-validations"] if "quantity(" in found["rule"])
    (values,) = resources["properties"]["limits"]["patternProperties"].values()

    assert rule.count("quantity(self.") == rule.count(f".matches(r'{values['pattern']}')") == 2


WRITTEN = [
    *sorted((ROOT / "examples").rglob("modeldeployment*.yaml")),
    *sorted((ROOT / "tests" / "data" / "input").glob("*.yaml")),
]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_object_that_we_show_uses_only_fields_that_there_are(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        ModelDeployment.model_validate(document)
        ModelDeploymentSpec.model_validate(document["spec"], extra="forbid")
