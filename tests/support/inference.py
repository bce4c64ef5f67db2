"""How a client asks a model through the gateway: V2 over HTTP with JSON or binary tensors."""

import json
import struct
from collections.abc import Sequence

import httpx
from support.onnx_models import INPUT

Row = Sequence[float]
BINARY_HEADER = "inference-header-content-length"


def json_request(rows: Sequence[Row]) -> bytes:
    """Rows as a V2 infer request in JSON."""
    data = [value for row in rows for value in row]
    tensor = {"name": INPUT, "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def infer_path(model: str) -> str:
    """The path of infer, under a model's own address."""
    return f"/v2/models/{model}/infer"


def ask(url: str, rows: Sequence[Row], *, headers: dict[str, str] | None = None) -> list[float]:
    """The model's answer to rows sent as JSON."""
    answer = httpx.post(
        url,
        content=json_request(rows),
        headers={"content-type": "application/json", **(headers or {})},
        timeout=10,
    )
    assert answer.status_code == httpx.codes.OK, f"{url}: {answer.status_code} {answer.text}"
    return [float(value) for value in answer.json()["outputs"][0]["data"]]


def ask_in_binary(url: str, rows: Sequence[Row]) -> list[float]:
    """The model's answer to rows sent, and wanted back, as binary tensors."""
    values = [value for row in rows for value in row]
    raw = struct.pack(f"<{len(values)}f", *values)
    tensor = {
        "name": INPUT,
        "shape": [len(rows), len(rows[0])],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer = httpx.post(
        url,
        content=head + raw,
        headers={BINARY_HEADER: str(len(head)), "content-type": "application/octet-stream"},
        timeout=10,
    )
    assert answer.status_code == httpx.codes.OK, f"{url}: {answer.status_code} {answer.text}"
    length = int(answer.headers[BINARY_HEADER])
    size = json.loads(answer.content[:length])["outputs"][0]["parameters"]["binary_data_size"]
    return list(struct.unpack(f"<{size // 4}f", answer.content[length : length + size]))


def answers_now(url: str, rows: Sequence[Row]) -> bool:
    """Whether a model gives a right answer at this moment; used to wait for a first one."""
    try:
        answer = httpx.post(url, content=json_request(rows), headers={"content-type": "application/json"}, timeout=5)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK
