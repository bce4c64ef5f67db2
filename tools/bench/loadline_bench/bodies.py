"""What does a request look like in each encoding, and what does an answer say?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from loadline_serving.protocol import open_inference_pb2 as messages

from loadline_bench.models import INPUT, OUTPUT, Rows
from loadline_bench.peers import MODEL_NAME, Dialect, Encoding

LENGTH_HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True, kw_only=True)
class Body:
    """One request: where it goes, and its bytes."""

    path: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class UnreadableAnswerError(ValueError):
    """An answer that holds no tensor."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(f"no tensor in the answer {answer[:200]!r}")


def body(encoding: Encoding, dialect: Dialect, rows: Rows) -> Body:
    """The request that carries these rows."""
    match encoding:
        case Encoding.JSON:
            data = _v2_json(rows) if dialect.rows is None else {dialect.rows: _numbers(rows)}
            return Body(path=dialect.path, data=_dump(data), headers={"Content-Type": "application/json"})
        case Encoding.BINARY:
            head = _dump(_v2_binary(rows))
            headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
            return Body(path=dialect.path, data=head + rows.tobytes(), headers=headers)
        case Encoding.GRPC:
            return Body(path="/inference.GRPCInferenceService/ModelInfer", data=_message(rows))
        case Encoding.NONE:
            raise ValueError("what does not travel has no body")


def values(encoding: Encoding, headers: Mapping[str, str], data: bytes) -> Rows:
    """The tensor in an answer; a peer that was asked in binary may answer in JSON."""
    try:
        if encoding is Encoding.GRPC:
            return _of_message(messages.ModelInferResponse.FromString(data))
        length = {name.lower(): value for name, value in headers.items()}.get(LENGTH_HEADER.lower())
        if length is not None:
            head = json.loads(data[: int(length)])
            return np.frombuffer(data[int(length) :], np.float32).reshape(head["outputs"][0]["shape"])
        return _of_json(json.loads(data))
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableAnswerError(data) from error


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _numbers(rows: Rows) -> Any:
    """With the few digits that they were made with, as a client writes them."""
    return rows.astype(np.float64).round(4).tolist()


def _v2_json(rows: Rows) -> dict[str, Any]:
    tensor = {"name": INPUT, "shape": list(rows.shape), "datatype": "FP32", "data": _numbers(rows.ravel())}
    return {"inputs": [tensor]}


def _v2_binary(rows: Rows) -> dict[str, Any]:
    size = {"binary_data_size": rows.nbytes}
    return {
        "inputs": [{"name": INPUT, "shape": list(rows.shape), "datatype": "FP32", "parameters": size}],
        "outputs": [{"name": OUTPUT, "parameters": {"binary_data": True}}],
    }


def _message(rows: Rows) -> bytes:
    tensor = messages.ModelInferRequest.InferInputTensor(name=INPUT, datatype="FP32", shape=rows.shape)
    request = messages.ModelInferRequest(model_name=MODEL_NAME, inputs=[tensor], raw_input_contents=[rows.tobytes()])
    return bytes(request.SerializeToString())


def _of_message(answer: messages.ModelInferResponse) -> Rows:
    output = answer.outputs[0]
    if answer.raw_output_contents:
        flat = np.frombuffer(answer.raw_output_contents[0], np.float32)
    else:
        flat = np.array(output.contents.fp32_contents, np.float32)
    return flat.reshape(tuple(output.shape))


def _of_json(answer: Any) -> Rows:
    if isinstance(answer, dict) and "outputs" in answer and isinstance(answer["outputs"], list):
        output = answer["outputs"][0]
        return np.array(output["data"], np.float32).reshape(output["shape"])
    while isinstance(answer, dict):
        (answer,) = answer.values()
    return np.array(answer, np.float32)
