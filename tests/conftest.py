"""In which order tests run, and what all of them may ask for."""

import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support import manifests, names
from support.cluster import TEST_CLUSTER, Cluster, ClusterMissingError
from support.mlflow_registry import Mlflow

TIERS = ("unit", "contract", "integration", "e2e")
# Whole-system files by what they cost, and those last that leave nodes or controllers busy.
E2E = (
    "test_images",
    "test_first_prediction",
    "test_leadership",
    "test_bad_input",
    "test_outages",
    "test_backing_services",
    "test_slow_requests",
    "test_zero_loss",
    "test_arms",
    "test_routing_scale",
    "test_many_objects",
    "test_hard_deaths",
)

Say = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cheap tests first: whole tiers in order, whole-system files by their cost."""
    items.sort(key=lambda item: (_tier(item.path), _cost(item.path)))


def _tier(path: Path) -> int:
    return next((number for number, tier in enumerate(TIERS) if tier in path.parts), 0)


def _cost(path: Path) -> int:
    return E2E.index(path.stem) if path.stem in E2E else -1


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Print a line at once, past the capture of output: counts and times belong to what a test shows."""
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert reporter is not None
    assert capture is not None

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            for part in line.splitlines():
                reporter.write_line(part)

    return write


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The test cluster, raised before by `make up NAME=loadline-test`."""
    found = Cluster.named(TEST_CLUSTER)
    try:
        found.api.get("/readyz").raise_for_status()
    except httpx.HTTPError as error:
        raise ClusterMissingError(TEST_CLUSTER, str(error)) from error
    yield found
    found.api.close()


@pytest.fixture(scope="session")
def gateway_url(cluster: Cluster) -> str:
    """Where the gateway answers on this machine."""
    asked = ["docker", "port", cluster.control_plane, str(names.GATEWAY_NODE_PORT)]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"127\.0\.0\.1:(\d+)", said.stdout)
    assert found, f"{' '.join(asked)} names no port of 127.0.0.1: {said.stdout}{said.stderr}"
    return f"http://127.0.0.1:{found[1]}"


@pytest.fixture(scope="session")
def mlflow(cluster: Cluster) -> Mlflow:
    """The cluster's registry."""
    registry = Mlflow(cluster)
    assert registry.answers(), "MLflow does not answer; run: make up NAME=loadline-test"
    return registry


def fresh_namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Make a namespace of a name that no other run has, and delete it in the end."""
    stem = re.sub(r"[^a-z0-9]+", "-", request.path.stem.removeprefix("test_"))[:30].strip("-")
    name = f"{stem}-{secrets.token_hex(3)}"
    cluster.apply(manifests.namespace(name))
    yield name
    cluster.delete("Namespace", name)


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, in which only restricted pods may run."""
    yield from fresh_namespace(cluster, request)


@pytest.fixture(scope="module")
def module_namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for the tests of one file."""
    yield from fresh_namespace(cluster, request)
