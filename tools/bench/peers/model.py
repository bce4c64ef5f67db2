"""What all servers share: one ONNX Runtime session with one thread, and where to listen.

Of the servers in this folder each is the least that its framework needs to answer with this model.
"""

import os

import numpy as np
import onnxruntime
from numpy.typing import NDArray

NAME = os.environ["MODEL_NAME"]
HTTP_PORT = int(os.environ["HTTP_PORT"])
GRPC_PORT = int(os.environ["GRPC_PORT"])
METRICS_PORT = int(os.environ["METRICS_PORT"])

Rows = NDArray[np.float32]


def session() -> onnxruntime.InferenceSession:
    """The model, ready to run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(os.environ["MODEL_FILE"], options, providers=["CPUExecutionProvider"])


def run(loaded: onnxruntime.InferenceSession, rows: Rows) -> Rows:
    """The model's answer."""
    answer: Rows = loaded.run(["output"], {"input": rows})[0]
    return answer
