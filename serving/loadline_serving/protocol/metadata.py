"""What does the server say about itself and its model, in both protocols' words?"""

from importlib.metadata import version
from typing import Any

from loadline_serving.inference import Identity
from loadline_serving.protocol.openinference import BINARY_EXTENSION
from loadline_serving.signature import Signature, TensorSpec

SERVER_NAME = "loadline-serving"
PLATFORM = "onnxruntime_onnx"
EXTENSIONS = (BINARY_EXTENSION, "model_repository", "statistics")


def server() -> dict[str, Any]:
    """The server's metadata."""
    return {"name": SERVER_NAME, "version": version(SERVER_NAME), "extensions": list(EXTENSIONS)}


def model(identity: Identity, signature: Signature) -> dict[str, Any]:
    """The model's metadata; outputs that the protocol cannot carry are left out."""
    return {
        "name": identity.name,
        "versions": [identity.version],
        "platform": PLATFORM,
        "inputs": [_tensor(spec) for spec in signature.inputs.values()],
        "outputs": [_tensor(spec) for spec in signature.outputs.values()],
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.name, "shape": list(spec.shape)}
