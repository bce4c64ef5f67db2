"""Which bad requests does the runtime get, and how does it refuse them?"""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from loadline_serving.protocol import open_inference_pb2 as messages

from loadline_bench.bodies import LENGTH_HEADER, Body, body
from loadline_bench.models import INPUT, Rows
from loadline_bench.peers import MODEL_NAME, Dialect, Encoding
from loadline_bench.server import Server

OVER_THE_LIMIT = 33 * 1024 * 1024
DEEP = 5000
SECONDS = 30
_PATH = Dialect().path
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of bad request."""

    name: str
    body: Body
    encoding: Encoding = Encoding.JSON


def kinds(rows: Rows) -> list[Kind]:
    """All kinds, made from rows that a good request would carry."""
    return [*_texts(rows), *_tensors(rows), *_headers(rows), *_messages(rows)]


def refusal(server: Server, kind: Kind) -> str:
    """The status of one answer; `cut` where the connection was closed instead."""
    return _call(server.grpc_port, kind.body) if kind.encoding is Encoding.GRPC else _post(server.http_port, kind.body)


def is_refused(status: str) -> bool:
    """Whether a status says that the caller is at fault."""
    return status.startswith("4") or status in {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "INTERNAL"}


def _texts(rows: Rows) -> Iterator[Kind]:
    good = body(Encoding.JSON, Dialect(), rows).data
    for name, data in (
        ("empty", b""),
        ("no JSON", b"\x00\xff not JSON"),
        ("truncated", good[: len(good) // 2]),
        ("nested deeply", b'{"inputs":' + b"[" * DEEP + b"]" * DEEP + b"}"),
        ("no object", b"[1, 2, 3]"),
        ("NaN", good.replace(b'"data":[', b'"data":[NaN,')),
    ):
        yield Kind(name=name, body=Body(path=_PATH, data=data, headers=_JSON))
    # The length alone is over the limit: the answer must come without the body.
    announced = _JSON | {"Content-Length": str(OVER_THE_LIMIT)}
    yield Kind(name="over the limit", body=Body(path=_PATH, data=b"", headers=announced))


def _tensors(rows: Rows) -> Iterator[Kind]:
    changes: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
        "unknown input": lambda _, tensor: tensor.update(name="other"),
        "no input": lambda request, _: request.update(inputs=[]),
        "input twice": lambda request, tensor: request.update(inputs=[tensor, tensor]),
        "unknown output": lambda request, _: request.update(outputs=[{"name": "other"}]),
        "wrong datatype": lambda _, tensor: tensor.update(datatype="INT64"),
        "wrong shape": lambda _, tensor: tensor.update(shape=[1, 1, 1, 1, 1]),
        "too few elements": lambda _, tensor: tensor["data"].pop(),
        "text for a number": lambda _, tensor: tensor["data"].__setitem__(0, "text"),
        "beyond FP32": lambda _, tensor: tensor["data"].__setitem__(0, 1e300),
    }
    for name, change in changes.items():
        request = json.loads(body(Encoding.JSON, Dialect(), rows).data)
        change(request, request["inputs"][0])
        yield Kind(name=name, body=Body(path=_PATH, data=json.dumps(request).encode(), headers=_JSON))
    good = body(Encoding.JSON, Dialect(), rows)
    yield Kind(name="unknown model", body=Body(path="/v2/models/other/infer", data=good.data, headers=_JSON))


def _headers(rows: Rows) -> Iterator[Kind]:
    good = body(Encoding.BINARY, Dialect(), rows)
    for name, length in (
        ("header length beyond the body", str(len(good.data) + 1)),
        ("header length too short", "10"),
        ("header length below zero", "-1"),
        ("header length no number", "many"),
    ):
        headers = dict(good.headers) | {LENGTH_HEADER: length}
        yield Kind(name=name, body=Body(path=_PATH, data=good.data, headers=headers), encoding=Encoding.BINARY)
    short = Body(path=_PATH, data=good.data[:-4], headers=good.headers)
    yield Kind(name="binary tensor cut short", body=short, encoding=Encoding.BINARY)


def _messages(rows: Rows) -> Iterator[Kind]:
    path = body(Encoding.GRPC, Dialect(), rows).path
    tensor = messages.ModelInferRequest.InferInputTensor(name=INPUT, datatype="FP32", shape=rows.shape)
    raw = rows.tobytes()
    for name, request in (
        ("gRPC: no contents", messages.ModelInferRequest(model_name=MODEL_NAME, inputs=[tensor])),
        ("gRPC: contents cut short", _message([tensor], [raw[:-4]])),
        ("gRPC: contents for no input", _message([tensor], [raw, raw])),
        ("gRPC: input twice", _message([tensor, tensor], [raw, raw])),
        ("gRPC: over the limit", _message([tensor], [np.zeros(OVER_THE_LIMIT, np.uint8).tobytes()])),
    ):
        data = bytes(request.SerializeToString())
        yield Kind(name=name, body=Body(path=path, data=data), encoding=Encoding.GRPC)
    yield Kind(name="gRPC: no message", body=Body(path=path, data=b"\xff" * 64), encoding=Encoding.GRPC)


def _message(
    tensors: list[messages.ModelInferRequest.InferInputTensor], contents: list[bytes]
) -> messages.ModelInferRequest:
    return messages.ModelInferRequest(model_name=MODEL_NAME, inputs=tensors, raw_input_contents=contents)


def _post(port: int, sent: Body) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("POST", sent.path, sent.data, dict(sent.headers))
        return str(connection.getresponse().status)
    except ConnectionError:
        return "cut"
    finally:
        connection.close()


def _call(port: int, sent: Body) -> str:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        try:
            channel.unary_unary(sent.path, bytes, bytes)(sent.data, timeout=SECONDS)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"
