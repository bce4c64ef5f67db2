"""What people log with plain MLflow: `mlflow_models.py TRACKING-URI`, run by the training environment's Python.

Registers `plain`, `external` (initializers beside the ONNX file) and `pickled` (no ONNX at all).
"""

import sys

import mlflow
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression


def product(width: int) -> onnx.ModelProto:
    """Rows times a fixed matrix."""
    weights = np.random.default_rng(7).normal(size=(width, width)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", width])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def main(tracking_uri: str) -> None:
    """Log and register the three."""
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run():
        mlflow.onnx.log_model(
            product(4),
            name="model",
            registered_model_name="plain",
            input_example=np.zeros((1, 4), np.float32),
            metadata={"owner": "tests"},
            pip_requirements=["onnxruntime"],
        )
        mlflow.onnx.log_model(
            product(64),
            name="external",
            registered_model_name="external",
            save_as_external_data=True,
            pip_requirements=["onnxruntime"],
        )
        mlflow.sklearn.log_model(
            LogisticRegression().fit([[0.0], [1.0]], [0, 1]),
            name="pickled",
            registered_model_name="pickled",
            pip_requirements=["scikit-learn"],
        )


if __name__ == "__main__":
    main(sys.argv[1])
