"""Which schemas does kubeconform judge manifests by?"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from loadline_cluster import cluster, paths
from loadline_cluster.steps import step

LOCATION = "{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
"""How kubeconform is to build the name of a schema's file below the folder."""

REFERENCE = "#/components/schemas/"
Schema = dict[str, Any]


def folder(name: str) -> Path:
    """Where the schemas of one cluster lie."""
    return paths.cache() / "schemas" / name


def write(name: str, crds: Path | None) -> Path:
    """Write the schemas of all that the API server of a cluster serves, and of the CRDs in a folder."""
    with step(f"schemas of {name}", "manifests are judged by what this API server knows, unknown fields refused"):
        shutil.rmtree(folder(name), ignore_errors=True)
        for path in json.loads(cluster.kubectl(name, "get", "--raw", "/openapi/v3"))["paths"].values():
            document = json.loads(cluster.kubectl(name, "get", "--raw", path["serverRelativeURL"]))
            for file, schema in served(document):
                _write(folder(name) / file, schema)
        for file, schema in defined(crds) if crds else ():
            _write(folder(name) / file, schema)
    return folder(name)


def served(document: Mapping[str, Any]) -> Iterator[tuple[str, Schema]]:
    """The kinds of one group version of an OpenAPI document, each complete in itself."""
    components: dict[str, Schema] = document.get("components", {}).get("schemas", {})
    for key, schema in components.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            needed = {other: strict(components[other]) for other in _reachable(key, components)}
            needed |= {other: {"type": ["string", "null"]} for other in needed if other.endswith(_TIME)}
            whole = {"$ref": f"{REFERENCE}{key}", "components": {"schemas": needed}}
            yield file_name(kind["group"], kind["version"], kind["kind"]), whole


def defined(crds: Path) -> Iterator[tuple[str, Schema]]:
    """The kinds of the CRDs in a folder."""
    for file in sorted(crds.glob("*.yaml")):
        for crd in yaml.safe_load_all(file.read_text()):
            for version in crd["spec"]["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"] = {**_OBJECT, **schema["properties"], "metadata": {"type": "object"}}
                spec = crd["spec"]
                yield file_name(spec["group"], version["name"], spec["names"]["kind"]), schema


def file_name(group: str, version: str, kind: str) -> str:
    """The name of a schema's file, as kubeconform builds it from LOCATION."""
    # kubeconform's Group is what stands before the slash of apiVersion; in the core group that is the version.
    return f"{group or version}/{kind.lower()}_{version}.json"


def strict(schema: Any) -> Any:
    """The same schema, which refuses fields that it does not name and takes null where the API does."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _strict_member(key, value) for key, value in schema.items()}
    closed = "properties" in changed and not changed.get("x-kubernetes-preserve-unknown-fields")
    if closed and "additionalProperties" not in changed:
        changed["additionalProperties"] = False
    if changed.get("x-kubernetes-int-or-string"):
        changed.pop("type", None)
    return {"anyOf": [changed, {"type": "null"}]} if changed.pop("nullable", False) else changed


_TIME = ".meta.v1.Time"
"""Generators print `creationTimestamp: null`, and the API server takes it."""

_OBJECT: Schema = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}


def _strict_member(key: str, value: Any) -> Any:
    # Below `properties` keys are field names, not words of the schema language.
    if key == "properties" and isinstance(value, dict):
        return {name: strict(schema) for name, schema in value.items()}
    return value if key in {"default", "enum", "example", "x-kubernetes-validations"} else strict(value)


def _reachable(key: str, components: Mapping[str, Schema]) -> set[str]:
    """The schemas that one refers to, directly or not, and itself."""
    reached: set[str] = set()
    waiting = [key]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += _references(components[current])
    return reached


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(REFERENCE)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _write(file: Path, schema: Schema) -> None:
    paths.made(file.parent)
    file.write_text(json.dumps(schema))
