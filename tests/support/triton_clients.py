"""What does a V2 client that other people wrote get from our server?

`triton_clients.py HTTP GRPC`, run by the clients' own Python, which has `tritonclient` and nothing of ours, asks the
model `columns` of serving_graphs in every way that the client knows, and prints what it got as one JSON object.
"""

import json
import sys
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http

COLUMNS: dict[str, tuple[str, Any]] = {
    "age": ("INT64", np.array([[2**53 + 1], [-1]], np.int64)),
    "small": ("UINT8", np.array([[0], [255]], np.uint8)),
    "name": ("BYTES", np.array([["é"], [""]], np.object_)),
    "member": ("BOOL", np.array([[True], [False]])),
    "risk": ("FP32", np.array([[0.5], [-2]], np.float32)),
    "share": ("FP16", np.array([[0.5], [65504]], np.float16)),
}


def about(client: Any, told: dict[str, Any]) -> dict[str, Any]:
    """What the server and the model say of themselves."""
    return told | {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("m", "3"),
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("m"),
    }


def infer(protocol: Any, client: Any, version: str = "", **options: bool) -> dict[str, Any]:
    """The model's answer, every column sent and asked for as `options` say."""
    sends = {"binary_data": options["sends_bytes"]} if "sends_bytes" in options else {}
    asks = {"binary_data": options["asks_bytes"]} if "asks_bytes" in options else {}
    inputs, outputs = [], []
    for name, (datatype, values) in COLUMNS.items():
        only_bytes = datatype == "FP16" and bool(options)
        tensor = protocol.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, **({"binary_data": True} if only_bytes else sends))
        inputs.append(tensor)
        outputs.append(
            protocol.InferRequestedOutput(f"{name}_again", **({"binary_data": True} if only_bytes else asks))
        )
    answer = client.infer("m", inputs, model_version=version, outputs=outputs, request_id="7", parameters={"mine": 1})
    head = answer.get_response(as_json=True) if protocol is tritonclient.grpc else answer.get_response()
    return {"id": head["id"], **{name: _plain(answer.as_numpy(f"{name}_again")) for name in COLUMNS}}


def refusal(protocol: Any, client: Any) -> str:
    """What a wrong shape is told."""
    tensor = protocol.InferInput("age", [1], "INT64")
    tensor.set_data_from_numpy(np.array([1], np.int64))
    try:
        client.infer("m", [tensor])
    except tritonclient.utils.InferenceServerException as error:
        return str(error.message())
    return "none"


def _plain(values: Any) -> Any:
    return [[value.decode() if isinstance(value, bytes) else value for value in row] for row in values.tolist()]


def main(http_target: str, grpc_target: str) -> dict[str, Any]:
    """Everything that the two clients got."""
    http, grpc = tritonclient.http, tritonclient.grpc
    with http.InferenceServerClient(http_target) as over_http, grpc.InferenceServerClient(grpc_target) as over_grpc:
        more = {
            "index": over_http.get_model_repository_index(),
            "bytes": infer(http, over_http, sends_bytes=True, asks_bytes=True),
            "json": infer(http, over_http, "3", sends_bytes=False, asks_bytes=False),
            "refusal": refusal(http, over_http),
        }
        told = {
            "http": about(over_http, more) | {"statistics": over_http.get_inference_statistics("m")},
            "grpc": {"raw": infer(grpc, over_grpc, "3"), "refusal": refusal(grpc, over_grpc)},
        }
        told["grpc"] |= {
            "live": over_grpc.is_server_live(),
            "ready": over_grpc.is_server_ready(),
            "model ready": over_grpc.is_model_ready("m", "3"),
            "model": over_grpc.get_model_metadata("m", as_json=True),
        }
    return told


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
