"""A schema refuses what the API server would drop, and takes what it takes."""

from typing import Any

from loadline_cluster import schemas

DOCUMENT: dict[str, Any] = {
    "components": {
        "schemas": {
            "io.k8s.api.apps.v1.Deployment": {
                "type": "object",
                "x-kubernetes-group-version-kind": [{"group": "apps", "kind": "Deployment", "version": "v1"}],
                "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}], "default": {}}},
            },
            "Spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
            "Unrelated": {"type": "object"},
        }
    }
}


def test_a_kind_comes_with_what_it_refers_to_and_no_more() -> None:
    [(file, schema)] = schemas.served(DOCUMENT)
    assert file == "apps/deployment_v1.json"
    assert set(schema["components"]["schemas"]) == {"io.k8s.api.apps.v1.Deployment", "Spec"}


def test_a_kind_of_the_core_group_lies_where_kubeconform_looks_for_it() -> None:
    assert schemas.file_name("", "v1", "ConfigMap") == "v1/configmap_v1.json"


def test_a_time_may_be_null_as_generators_print_it() -> None:
    time = "io.k8s.apimachinery.pkg.apis.meta.v1.Time"
    kind = {"group": "", "kind": "Thing", "version": "v1"}
    thing = {"properties": {"at": {"$ref": f"#/components/schemas/{time}"}}, "x-kubernetes-group-version-kind": [kind]}
    document = {"components": {"schemas": {"Thing": thing, time: {"type": "string", "format": "date-time"}}}}
    [(_, schema)] = schemas.served(document)
    assert schema["components"]["schemas"][time] == {"type": ["string", "null"]}


def test_an_object_with_named_fields_takes_no_others() -> None:
    assert schemas.strict({"properties": {"a": {"type": "string"}}})["additionalProperties"] is False


def test_an_object_that_keeps_unknown_fields_stays_open() -> None:
    schema = {"properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": True}
    assert "additionalProperties" not in schemas.strict(schema)


def test_a_field_called_properties_is_a_field() -> None:
    schema = schemas.strict({"properties": {"properties": {"type": "string"}}})
    assert schema["properties"] == {"properties": {"type": "string"}}


def test_null_is_taken_where_the_api_takes_it() -> None:
    assert schemas.strict({"type": "string", "nullable": True}) == {"anyOf": [{"type": "string"}, {"type": "null"}]}
