"""A release of the chart for these tests."""

import secrets
from collections.abc import Iterator

import pytest
from support import manifests
from support.cluster import Cluster
from support.own_release import Release


@pytest.fixture(scope="module")
def release(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Install the chart with the images that the cluster runs already; take everything away afterwards."""
    name = f"chart-{secrets.token_hex(3)}"
    made = Release.prepare(cluster, name, tmp_path_factory.mktemp("chart"))
    cluster.apply(manifests.namespace(name))
    try:
        made.apply()
        yield made
    finally:
        made.remove()
        cluster.kubectl("delete", "crd", made.crd, "--ignore-not-found")
        cluster.delete("Namespace", name)
