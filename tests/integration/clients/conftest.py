"""Clients ask a server on this machine: no cluster."""

import pytest


@pytest.fixture(autouse=True)
def _only_on_the_test_cluster() -> None:
    """Nothing here touches a cluster."""
