"""What the tests of model resolution share: one MLflow server, and a resolver over a folder as object store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mlflow_server import LocalMlflow, free_port, log_models, mlflow_server
from support.resolving import Resolving, resolving


@pytest.fixture(autouse=True)
def _only_on_the_test_cluster() -> None:
    """Nothing here touches a cluster."""


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMlflow]:
    """A registry that holds what plain `log_model` calls left there."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow"), free_port()) as server:
        log_models(server)
        yield server


@pytest.fixture
def store_folder(tmp_path: Path) -> Path:
    """The folder that stands for the object store."""
    return tmp_path / "store"


@pytest.fixture
def resolver(registry: LocalMlflow, store_folder: Path) -> Resolving:
    """A resolver that looks often, as a test does not want to wait."""
    return resolving(registry.url, store_folder)
