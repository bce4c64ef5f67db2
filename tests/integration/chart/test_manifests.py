"""Whether the API server of the test cluster knows every field that the chart writes."""

import subprocess
import sys

import pytest
import yaml
from support import chart
from support.chart import CHART, render
from support.cluster import Cluster
from support.programs import program


@pytest.fixture(scope="module")
def schemas(cluster: Cluster) -> str:
    """Where kubeconform finds a schema for each kind that the API server serves, and for our own."""
    crds = str(CHART.parents[1] / "crds")
    command = [sys.executable, "-m", "loadline_cluster", "schemas", "--name", cluster.name, "--crds", crds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()[-1]


def _judge(schemas: str, manifests: str) -> subprocess.CompletedProcess[str]:
    command = [program("kubeconform"), "-strict", "-summary", "-verbose", "-schema-location", schemas]
    return subprocess.run(command, input=manifests, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("values", ["", *chart.VALUES])
def test_every_manifest_of_the_chart_is_one_that_the_api_server_knows(schemas: str, values: str) -> None:
    rendered = render(values=values)
    done = _judge(schemas, yaml.safe_dump_all(rendered))
    assert done.returncode == 0, done.stdout
    assert f"{len(rendered)} resources" in done.stdout
    assert "Skipped: 0" in done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("Deployment", "loadline-operator", "replicaz"),
        ("EnvoyProxy", "loadline", "shutdwn"),
        ("Gateway", "loadline", "listenerz"),
        ("ValidatingAdmissionPolicy", "loadline-routes", "failPolicy"),
    ],
)
def test_a_misspelt_field_is_found(schemas: str, kind: str, name: str, field: str) -> None:
    manifest = chart.find(render(), kind, name)
    manifest["spec"][field] = 1
    done = _judge(schemas, yaml.safe_dump(manifest))
    assert done.returncode != 0
    assert field in done.stdout


def test_a_kind_without_a_schema_fails(schemas: str) -> None:
    unknown = {"apiVersion": "loadline.dev/v1", "kind": "Unheard", "metadata": {"name": "of"}}
    done = _judge(schemas, yaml.safe_dump(unknown))
    assert done.returncode != 0
    assert "could not find schema" in done.stdout
