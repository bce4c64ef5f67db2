"""How does a trained model come into the registry: checked, with a version, an alias and rows to compare with?

Both examples use this: everything here is plain MLflow, and nothing of it is needed to serve a model.
"""

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import onnx
import onnxruntime
from mlflow.models import infer_signature
from numpy.typing import NDArray

RECIPE_TAG = "loadline.example.recipe"
HELD_OUT = Path(__file__).parents[1] / "build" / "examples"
TOLERANCE = 1e-5

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model as ONNX, and what the framework that made it says of rows that it never saw."""

    model: onnx.ModelProto
    input: str
    output: str
    rows: Array
    predictions: Array
    accuracy: float


def main(name: str, train: Callable[[int], Trained], script: Path) -> None:
    """Train and register, unless the same script with the same seed did so before."""
    arguments = _parser(name).parse_args()
    mlflow.set_tracking_uri(arguments.tracking_uri)
    recipe = hashlib.sha256(f"{arguments.seed}\n{script.read_text()}".encode()).hexdigest()[:16]
    version = _registered_before(name, recipe)
    if version is None or not _is_of(arguments.held_out, recipe):
        trained = train(arguments.seed)
        print(f"{name}: accuracy {trained.accuracy:.3f} on {len(trained.rows)} held-out rows", flush=True)
        _refuse_other_answers(name, trained)
        _write_held_out(arguments.held_out, trained, recipe)
        version = version or _register(name, trained, recipe)
    mlflow.MlflowClient().set_registered_model_alias(name, arguments.alias, version)
    print(f"{name}: version {version} has the alias {arguments.alias}", flush=True)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"Train the example {name} and register it.")
    parser.add_argument("--tracking-uri", required=True, help="address of the MLflow server")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--alias", default="champion", help="the alias to point at the version")
    parser.add_argument(
        "--held-out", type=Path, default=HELD_OUT / f"{name}.npz", help="where held-out rows are written"
    )
    return parser


def _refuse_other_answers(name: str, trained: Trained) -> None:
    """Stop where the ONNX model does not answer as the framework does."""
    session = onnxruntime.InferenceSession(trained.model.SerializeToString(), providers=["CPUExecutionProvider"])
    (answers,) = session.run([trained.output], {trained.input: trained.rows})
    difference = float(np.abs(answers - trained.predictions).max())
    if difference > TOLERANCE:
        raise SystemExit(f"{name}: ONNX differs from its framework by {difference:.2g}, more than {TOLERANCE:g}")


def _register(name: str, trained: Trained, recipe: str) -> str:
    with mlflow.start_run(run_name=name):
        mlflow.log_metric("accuracy", trained.accuracy)
        logged = mlflow.onnx.log_model(
            trained.model,
            name="model",
            registered_model_name=name,
            signature=infer_signature({trained.input: trained.rows}, {trained.output: trained.predictions}),
            pip_requirements=["onnxruntime"],
        )
    version = str(logged.registered_model_version)
    mlflow.MlflowClient().set_model_version_tag(name, version, RECIPE_TAG, recipe)
    return version


def _registered_before(name: str, recipe: str) -> str | None:
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    return next((str(version.version) for version in versions if version.tags.get(RECIPE_TAG) == recipe), None)


def _write_held_out(path: Path, trained: Trained, recipe: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        recipe=recipe,
        input=trained.input,
        output=trained.output,
        rows=trained.rows,
        predictions=trained.predictions,
        accuracy=trained.accuracy,
    )


def _is_of(path: Path, recipe: str) -> bool:
    """Whether a file of held-out rows was written by the same script with the same seed."""
    if not path.exists():
        return False
    with np.load(path) as held_out:
        return str(held_out["recipe"]) == recipe
