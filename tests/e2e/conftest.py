"""What whole-system tests ask for: a registered model, a timeline, a place for results."""

from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from loadline_results.result import Recording
from support.cluster import Cluster
from support.mlflow_registry import Mlflow
from support.phases import Timeline
from support.programs import ROOT
from support.serving_models import Registered, register_pair


@pytest.fixture(autouse=True)
def _a_deadline_for_the_whole_test(request: pytest.FixtureRequest) -> None:
    """No test of this tier waits for ever: ten minutes, or as long as a long form says itself."""
    if request.node.get_closest_marker("timeout") is None:
        request.node.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def model(mlflow: Mlflow) -> Registered:
    """A model of two versions, for tests that move no alias."""
    return register_pair(mlflow, "linear")


@pytest.fixture
def timeline(say: Callable[[str], None]) -> Timeline:
    """Phases that print their time."""
    return Timeline(say=say)


class Record(Protocol):
    """Begins a result file, or goes on with one that was cut off."""

    def __call__(self, name: str, *, claim: str, runs: int, paths: tuple[str, ...]) -> Recording: ...


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Result files of long forms, in docs/results."""

    def begin(name: str, *, claim: str, runs: int, paths: tuple[str, ...]) -> Recording:
        return Recording.begin(
            name,
            claim=claim,
            form="long",
            wanted_runs=runs,
            paths=paths,
            command=f"make test-long ONLY={request.node.originalname}",
            root=ROOT,
        )

    return begin


@pytest.fixture(autouse=True)
def _no_node_stays_cordoned(cluster: Cluster) -> Iterator[None]:
    """A test that was cut off in a drain leaves the next one a whole cluster."""
    yield
    for node in cluster.list("Node"):
        if node["spec"].get("unschedulable"):
            cluster.patch("Node", node["metadata"]["name"], None, {"spec": {"unschedulable": None}})
