"""How a test puts models into the cluster's MLflow registry: by REST, through the API server's proxy.

The proxy needs no forwarded port, so it goes on working when MLflow's pod is replaced.
"""

from collections.abc import Mapping
from typing import Any

import httpx
from support import names
from support.cluster import Cluster

MLMODEL = """\
flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.20.0
    providers: [CPUExecutionProvider]
model_uuid: {run}
mlflow_version: 3.0.0
run_id: {run}
"""
DEFAULT_EXPERIMENT = "0"


class Mlflow:
    """The registry that the chart installed."""

    def __init__(self, cluster: Cluster, *, namespace: str = names.SYSTEM, service: str = names.MLFLOW) -> None:
        self._api = cluster.api
        self._base = f"/api/v1/namespaces/{namespace}/services/{service}:5000/proxy"

    def answers(self) -> bool:
        """Whether the registry answers at all."""
        try:
            return self._api.get(f"{self._base}/health").is_success
        except httpx.TransportError:
            return False

    def register(self, model: str, files: Mapping[str, bytes] | bytes) -> str:
        """Register one ONNX file, or these files, as the next version of a model; return the version."""
        contents = {"model.onnx": files} if isinstance(files, bytes) else files
        run = self._call("POST", "runs/create", experiment_id=DEFAULT_EXPERIMENT)["run"]["info"]
        described = {"MLmodel": MLMODEL.format(run=run["run_id"]).encode(), **contents}
        for path, content in described.items():
            self.upload(f"{run['artifact_uri']}/model", path, content)
        self._create_if_absent(model)
        made = self._call(
            "POST",
            "model-versions/create",
            name=model,
            source=f"{run['artifact_uri']}/model",
            run_id=run["run_id"],
        )
        return str(made["model_version"]["version"])

    def upload(self, folder: str, path: str, content: bytes) -> None:
        """Put a file into an artifact folder of the registry, over one that may be there."""
        place = folder.removeprefix("mlflow-artifacts:/").lstrip("/")
        answer = self._api.put(f"{self._base}/api/2.0/mlflow-artifacts/artifacts/{place}/{path}", content=content)
        assert answer.is_success, f"upload of {path} to {folder}: {answer.status_code} {answer.text}"

    def source(self, model: str, version: str) -> str:
        """The artifact folder of a version."""
        found = self._call("GET", "model-versions/get", name=model, version=version)
        return str(found["model_version"]["source"])

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._call("POST", "registered-models/alias", name=model, alias=alias, version=version)

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias."""
        self._call("DELETE", "registered-models/alias", name=model, alias=alias)

    def _create_if_absent(self, model: str) -> None:
        url = f"{self._base}/api/2.0/mlflow/registered-models/create"
        answer = self._api.post(url, json={"name": model})
        if not answer.is_success and answer.json().get("error_code") != "RESOURCE_ALREADY_EXISTS":
            raise AssertionError(f"registering {model}: {answer.status_code} {answer.text}")

    def _call(self, method: str, what: str, **values: str) -> dict[str, Any]:
        asked: dict[str, Any] = {"params": values} if method == "GET" else {"json": values}
        answer = self._api.request(method, f"{self._base}/api/2.0/mlflow/{what}", **asked)
        assert answer.is_success, f"MLflow {what} {values}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found
