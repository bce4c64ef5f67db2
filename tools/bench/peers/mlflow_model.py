"""How does an ONNX file become a model of MLflow's? `mlflow_model.py FILE FOLDER`."""

import sys

import mlflow.onnx
import onnx

file, folder = sys.argv[1:]
mlflow.onnx.save_model(
    onnx.load(file),
    folder,
    onnx_execution_providers=["CPUExecutionProvider"],
    onnx_session_options={"execution_mode": "sequential", "intra_op_num_threads": 1, "inter_op_num_threads": 1},
    pip_requirements=["mlflow"],
)
