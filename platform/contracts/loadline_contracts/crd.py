"""How does a contract become a CustomResourceDefinition that an API server accepts?

pydantic's JSON schema uses words that a structural schema refuses or drops (``$ref``, ``anyOf`` with null, ``const``,
``patternProperties``, ``propertyNames``); ``structural`` rewrites them and refuses what it does not know, so that no
constraint is lost silently. What goes without a trace constrains nothing: ``title``, which repeats a name, and
``additionalProperties`` where it is no schema, since the API server judges unknown fields by itself.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from loadline_contracts import modeldeployment as md
from loadline_contracts.labels import GROUP, VERSION

Schema = dict[str, Any]

_STRUCTURE: Final = frozenset(
    {"properties", "required", "items", "const", "additionalProperties", "patternProperties", "propertyNames"}
)
_DROPPED: Final = frozenset({"title", "$defs", "additionalProperties"})
_KEPT: Final = frozenset(
    {
        "type",
        "description",
        "default",
        "enum",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "nullable",
    }
)

_NAME_RULES: Final = [
    {
        "rule": f"size(self.metadata.name) <= {md.MAX_NAME_LENGTH}",
        "message": f"metadata.name: at most {md.MAX_NAME_LENGTH} characters, so that the names of its children fit",
    },
    {
        "rule": "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "message": "metadata.name: small letters, digits and dashes, beginning with a letter, since Services bear it",
    },
]

_COLUMNS: Final = [
    {"name": "Model", "type": "string", "jsonPath": ".status.servedVersion", "description": "Model version served"},
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Traffic", "type": "string", "jsonPath": ".status.traffic.summary"},
    {"name": "Replicas", "type": "string", "jsonPath": ".status.replicaSummary"},
    {"name": "URL", "type": "string", "jsonPath": ".status.url"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {
        "name": "Reason",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].reason',
        "priority": 1,
    },
    {
        "name": "Message",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].message',
        "priority": 1,
    },
]


class UnstructuralSchemaError(TypeError):
    """A contract uses something that no structural schema can say."""

    def __init__(self, path: str, word: str) -> None:
        super().__init__(f"{path or 'the root'}: {word} has no form in a structural schema; change the model")


def structural(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: str = "") -> Schema:
    """Rewrite pydantic's JSON schema as a structural schema.

    Raises UnstructuralSchemaError where a union or another word has no equivalent.
    """
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        return structural(target, definitions, path) | _own(schema, path, beside={"$ref"})
    if "anyOf" in schema:
        return structural(_only_choice(schema["anyOf"], path), definitions, path) | _own(schema, path, beside={"anyOf"})
    if schema.get("x-kubernetes-int-or-string"):
        return _own(schema, path, beside=set())
    result = _own(schema, path, beside=_STRUCTURE)
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "properties" in schema:
        result["properties"] = {
            name: structural(part, definitions, f"{path}.{name}") for name, part in schema["properties"].items()
        }
        if schema.get("required"):
            result["required"] = schema["required"]
    else:
        result |= _map(schema, result, definitions, path)
    if "items" in schema:
        result["items"] = structural(schema["items"], definitions, f"{path}[]")
    return result


def _map(schema: Mapping[str, Any], own: Schema, definitions: Mapping[str, Any], path: str) -> Schema:
    if "patternProperties" in schema:
        return _keyed(schema, own, definitions, path)
    if "propertyNames" in schema:
        raise UnstructuralSchemaError(path, "propertyNames without a pattern")
    values = schema.get("additionalProperties")
    return {"additionalProperties": structural(values, definitions, f"{path}.*")} if isinstance(values, Mapping) else {}


def _keyed(schema: Mapping[str, Any], own: Schema, definitions: Mapping[str, Any], path: str) -> Schema:
    """Say what map keys must be as a CEL rule, the only form that it has there."""
    patterns, names = schema["patternProperties"], schema.get("propertyNames", {})
    if len(patterns) != 1:
        raise UnstructuralSchemaError(path, "patternProperties with several patterns")
    if names and set(names) != {"maxLength"}:
        raise UnstructuralSchemaError(path, f"propertyNames with {', '.join(sorted(names))}")
    ((pattern, values),) = patterns.items()
    return {
        "additionalProperties": structural(values, definitions, f"{path}.*"),
        "x-kubernetes-validations": [_key_rule(pattern, names), *own.get("x-kubernetes-validations", [])],
    }


def _key_rule(pattern: str, names: Mapping[str, int]) -> Schema:
    if not names:
        return {"rule": f"self.all(k, k.matches('{pattern}'))", "message": f"each key must match {pattern}"}
    longest = names["maxLength"]
    return {
        "rule": f"self.all(k, size(k) <= {longest} && k.matches('{pattern}'))",
        "message": f"each key must match {pattern} and have at most {longest} characters",
    }


def _only_choice(choices: list[Schema], path: str) -> Schema:
    kept = [choice for choice in choices if choice.get("type") != "null"]
    if len(kept) != 1:
        raise UnstructuralSchemaError(path, "a union")
    return kept[0]


def _own(schema: Mapping[str, Any], path: str, *, beside: AbstractSet[str]) -> Schema:
    result: Schema = {}
    for word, value in schema.items():
        if word in beside or word in _DROPPED:
            continue
        if word not in _KEPT and not word.startswith("x-kubernetes-"):
            raise UnstructuralSchemaError(path, word)
        if word == "default" and value is None:
            continue
        result[word] = " ".join(value.split()) if word == "description" else _without_nulls(value)
    return result


def _without_nulls(value: Any) -> Any:
    """A default that leaves a field out says nothing of it: null is no value of any type there."""
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def model_deployment_crd() -> Schema:
    """Return the CustomResourceDefinition of ModelDeployment."""
    schema = md.ModelDeployment.model_json_schema(by_alias=True)
    root = structural(schema, schema["$defs"])
    properties = root["properties"]
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    properties["spec"]["description"] = "What the user wants."
    properties["status"] = {key: value for key, value in properties["status"].items() if key != "default"}
    _drop_defaults(properties["status"])
    root["required"] = ["spec"]
    root["x-kubernetes-validations"] = _NAME_RULES
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{md.PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": md.KIND,
                "listKind": f"{md.KIND}List",
                "plural": md.PLURAL,
                "singular": md.KIND.lower(),
                "shortNames": ["md"],
                "categories": ["loadline"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _COLUMNS,
                    "selectableFields": [{"jsonPath": ".spec.model.uri"}],
                }
            ],
        },
    }


def _drop_defaults(schema: Schema) -> None:
    """A status is written by the operator alone: a default there would only be noise."""
    schema.pop("default", None)
    schema.pop("x-kubernetes-validations", None)
    for part in schema.get("properties", {}).values():
        _drop_defaults(part)
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            _drop_defaults(schema[word])
