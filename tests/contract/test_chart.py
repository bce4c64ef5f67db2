"""What the chart promises those who install it: it renders, refuses unknown values, and explains each one."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from support import chart
from support.chart import CHART, ChartRefusedError, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.mark.parametrize("values", ["", *chart.VALUES])
def test_helm_finds_nothing_to_complain_of(values: str) -> None:
    said = chart.helm(
        "lint", "--strict", "--kube-version", chart.KUBERNETES, str(CHART), *chart.arguments(values=values)
    )
    assert "0 chart(s) failed" in said


@pytest.mark.parametrize("values", ["", *chart.VALUES])
def test_no_two_objects_have_one_name(values: str) -> None:
    keys = [
        (m["apiVersion"], m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"])
        for m in render(values=values)
    ]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        (["operator.replica=3"], "'replica' not allowed"),
        (["objectStore.external.bucket=x"], "'bucket' not allowed"),
        (["mlflow.persistence.class=fast"], "'class' not allowed"),
        (["images.operator=loadline/operator"], "/images/operator"),
        (["images.store=versitygw@sha256:12"], "/images/store"),
        (["operator.resources.limits.gpu=1"], "'gpu' not allowed"),
        (["operator.logLevel=loud"], "/operator/logLevel"),
        (["gateway.service.type=ExternalName"], "/gateway/service/type"),
        (["mlflow.externalUrl=mlflow"], "/mlflow/externalUrl"),
        (["objectStore.external.url=http://store"], "/objectStore/external/url"),
        (["watchNamespaces={Team_A}"], "/watchNamespaces/0"),
        (["access.jwt.issuer=https://issuer.example.com"], "/access/jwt/jwksUri"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_name(settings: list[str], refusal: str) -> None:
    with pytest.raises(ChartRefusedError, match=re.escape(refusal)):
        render(settings=settings)


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_the_gateway_opens_only_with_tokens_or_a_waiver(kind: str) -> None:
    opened = f"gateway.service.type={kind}"
    with pytest.raises(ChartRefusedError, match="/access/waived"):
        render(settings=[opened])
    assert render(settings=[opened, "access.waived=true"])
    asked = render(settings=[opened, "access.jwt.issuer=https://a.example", "access.jwt.jwksUri=https://a.example/k"])
    policy = chart.find(asked, "SecurityPolicy", "loadline")
    assert policy["spec"]["jwt"]["providers"][0]["issuer"] == "https://a.example"


def test_the_gateway_stays_inside_unless_a_value_opens_it() -> None:
    proxy = chart.find(render(), "EnvoyProxy", "loadline")
    assert proxy["spec"]["provider"]["kubernetes"]["envoyService"]["type"] == "ClusterIP"


def test_every_object_of_the_schema_is_closed_and_explained() -> None:
    open_maps = {"/$defs/stringMap", "/properties/global"}
    for path, node in _nodes(SCHEMA, ""):
        if node.get("type") == "object" and "selector" not in path.lower() and not path.endswith("ports/items"):
            closed = node.get("additionalProperties") is False
            assert closed or path in open_maps or path.endswith("ipBlock"), f"{path} takes any name"
        for name, child in node.get("properties", {}).items() if node.get("type") == "object" else ():
            assert child.get("description"), f"{path}: {name} is not explained"


def test_every_value_stands_in_the_readme_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `(.*)` \| .+ \|$", (CHART / "README.md").read_text(), re.MULTILINE))
    wanted = {path: json.dumps(value) for path, value in _values(SCHEMA, DEFAULTS, [])}
    assert {path: default.replace("\\|", "|") for path, default in rows.items()} == wanted


def test_crds_are_those_of_the_repository_and_outlive_the_release() -> None:
    made = [m for m in render() if m["kind"] == "CustomResourceDefinition"]
    golden = [yaml.safe_load(path.read_text()) for path in sorted((CHART.parents[1] / "crds").glob("*.yaml"))]
    assert golden
    for found in made:
        assert found["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert made == golden
    assert not [m for m in render(settings=["crds.enabled=false"]) if m["kind"] == "CustomResourceDefinition"]


def test_images_are_given_by_tag_or_by_digest_and_follow_the_chart_otherwise() -> None:
    pinned = "registry.example.com/operator@sha256:" + "ab" * 32
    rendered = render(settings=[f"images.operator={pinned}"])
    operator = chart.find(rendered, "Deployment", "loadline-operator")
    assert operator["spec"]["template"]["spec"]["containers"][0]["image"] == pinned
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert _environment(operator)["LOADLINE_SERVING_IMAGE"]["value"] == f"docker.io/loadline/serving:{version}"


def test_models_on_gpus_have_an_image_only_where_a_value_names_one() -> None:
    bare = _environment(chart.find(render(), "Deployment", "loadline-operator"))
    named = render(settings=["images.servingGpu=registry.example.com/serving-gpu:1"])
    given = _environment(chart.find(named, "Deployment", "loadline-operator"))

    assert bare["LOADLINE_SERVING_GPU_IMAGE"]["value"] == ""
    assert given["LOADLINE_SERVING_GPU_IMAGE"]["value"] == "registry.example.com/serving-gpu:1"


def test_the_gateway_tells_pods_how_long_it_waits() -> None:
    policy = chart.find(render(), "ClientTrafficPolicy", "loadline")
    assert policy["spec"]["headers"] == {"enableEnvoyHeaders": True}


def test_a_store_and_a_registry_of_your_own_take_the_place_of_the_charts() -> None:
    rendered = render(values="external", settings=["mlflow.externalUrl=https://mlflow.example.com"])
    assert {m["metadata"]["name"] for m in chart.pod_owners(rendered)} == {"loadline-operator"}
    assert not [m for m in rendered if m["kind"] == "PersistentVolumeClaim"]
    env = _environment(chart.find(rendered, "Deployment", "loadline-operator"))
    assert env["LOADLINE_STORE_URL"]["value"] == "s3://models"
    assert env["LOADLINE_MLFLOW_URL"]["value"] == "https://mlflow.example.com"
    assert env["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "models-writer"


def test_mlflow_takes_its_database_and_artifacts_from_elsewhere_and_then_needs_no_volume() -> None:
    rendered = render(values="external")
    env = _environment(chart.find(rendered, "Deployment", "loadline-mlflow"))
    assert env["MLFLOW_BACKEND_STORE_URI"]["valueFrom"]["secretKeyRef"] == {"name": "mlflow-database", "key": "uri"}
    assert env["MLFLOW_ARTIFACTS_DESTINATION"]["value"] == "s3://artifacts/mlflow"
    assert not [m for m in rendered if m["kind"] == "PersistentVolumeClaim"]


def _environment(deployment: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def _nodes(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a JSON schema that describes values, by its path; conditions describe none."""
    if isinstance(node, list):
        return
    yield path, node
    for key in ("properties", "$defs"):
        for name, child in node.get(key, {}).items():
            yield from _nodes(child, f"{path}/{key}/{name}")
    if "items" in node:
        yield from _nodes(node["items"], f"{path}/items")


def _values(node: dict[str, Any], value: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
    """Every value that a person may set, with its default."""
    for name, child in node["properties"].items():
        if name == "global":
            continue
        if child.get("type") == "object" and "properties" in child:
            yield from _values(child, value[name], [*path, name])
        else:
            yield ".".join([*path, name]), value[name]
