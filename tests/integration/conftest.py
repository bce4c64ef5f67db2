"""What the tests against the API server ask for: the test cluster, and never another."""

import pytest
from support.cluster import Cluster


@pytest.fixture(autouse=True)
def _only_on_the_test_cluster(cluster: Cluster) -> None:
    """Refuse any context but Loadline's own before the first object is written."""
    assert cluster.context.startswith("kind-loadline")
