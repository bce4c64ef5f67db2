"""How is a V2 infer message read from and written to an HTTP body, in JSON with or without binary tensors?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from loadline_serving.datatypes import Array
from loadline_serving.errors import BadRequestError
from loadline_serving.inference import Identity, InferRequest
from loadline_serving.protocol.json_body import holds_booleans, json_object
from loadline_serving.protocol.parameters import refuse_foreign
from loadline_serving.protocol.tensors import from_bytes, from_json, to_bytes
from loadline_serving.signature import Signature, TensorSpec

BINARY_EXTENSION = "binary_tensor_data"
_NOTHING: dict[str, Any] = {}
_NO_OBJECTS: list[dict[str, Any]] = []
_NO_NAMES: frozenset[str] = frozenset()


def decode(body: bytes, json_length: int | None, signature: Signature) -> InferRequest:
    """The request in a body. `json_length`: where the JSON part ends, if binary tensors follow it."""
    message = json_object(body if json_length is None else memoryview(body)[:json_length])
    reader = _Reader(body, len(body) if json_length is None else json_length)
    feeds: dict[str, Array] = {}
    for tensor in _objects(message, "inputs"):
        spec = signature.input(tensor.get("name"), feeds)
        feeds[spec.name] = reader.tensor(spec, tensor)
    signature.expect_all(feeds)
    reader.expect_end()
    parameters = message.get("parameters")
    if parameters is None and "outputs" not in message:
        return InferRequest(_identifier(message), feeds, signature.wanted(()))
    outputs = _objects(message, "outputs") if "outputs" in message else []
    wanted = signature.wanted([output.get("name") for output in outputs])
    return InferRequest(
        _identifier(message), feeds, wanted, _binary(message, outputs, wanted), timeout=_timeout(message)
    )


def encode(
    request: InferRequest, results: Sequence[Array], signature: Signature, identity: Identity
) -> tuple[bytes, int | None]:
    """The answer's body, and the length of its JSON part if binary tensors follow it."""
    blobs: list[bytes] = []
    outputs: list[dict[str, Any]] = []
    for name, result in zip(request.outputs, results, strict=True):
        datatype = signature.outputs[name].datatype
        output: dict[str, Any] = {"name": name, "datatype": datatype.name, "shape": result.shape}
        if name in request.binary:
            blobs.append(to_bytes(result))
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            output["data"] = _json_data(name, result)
        outputs.append(output)
    message: dict[str, Any] = {"model_name": identity.name, "model_version": identity.version}
    if request.id is not None:
        message["id"] = request.id
    message["outputs"] = outputs
    head = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((head, *blobs)), len(head)) if blobs else (head, None)


def json_length(header: bytes, body_length: int) -> int:
    """The value of Inference-Header-Content-Length, if it can be true."""
    if not header.isdigit() or len(header) > 20:
        raise BadRequestError("Inference-Header-Content-Length is not a number")
    length = int(header)
    if length > body_length:
        raise BadRequestError(f"Inference-Header-Content-Length is {length}, but the body has only {body_length} bytes")
    return length


class _Reader:
    """Takes the tensors of one message in their order, and their binary data from behind the JSON part."""

    def __init__(self, body: bytes, offset: int) -> None:
        self._body = body
        self._offset = offset
        self._booleans: bool | None = None

    def tensor(self, spec: TensorSpec, tensor: dict[str, Any]) -> Array:
        shape = tensor.get("shape")
        count = spec.expect(tensor.get("datatype"), shape)
        parameters = tensor.get("parameters")
        if parameters is not None:
            refuse_foreign(_object(parameters, spec.name), f"input '{spec.name}'")
        if parameters and "binary_data_size" in parameters:
            if "data" in tensor:
                raise BadRequestError(f"input '{spec.name}' has both data and binary_data_size")
            return from_bytes(spec, shape, count, self._take(spec, parameters["binary_data_size"]))  # type: ignore[arg-type]
        if "data" not in tensor:
            raise BadRequestError(f"input '{spec.name}' has neither data nor binary_data_size")
        return from_json(spec, shape, count, tensor["data"], booleans=self._holds_booleans())  # type: ignore[arg-type]

    def expect_end(self) -> None:
        if self._offset != len(self._body):
            raise BadRequestError(f"{len(self._body) - self._offset} bytes follow the binary data of the last input")

    def _take(self, spec: TensorSpec, size: object) -> memoryview:
        if type(size) is not int or size < 0:
            raise BadRequestError(f"binary_data_size of input '{spec.name}' is not a whole number")
        start, self._offset = self._offset, self._offset + size
        if self._offset > len(self._body):
            raise BadRequestError(
                f"binary_data_size of input '{spec.name}' is {size}, but only {len(self._body) - start} bytes are left"
            )
        return memoryview(self._body)[start : self._offset]

    def _holds_booleans(self) -> bool:
        if self._booleans is None:
            self._booleans = _may_hold_booleans(self._body)
        return self._booleans


def _may_hold_booleans(body: bytes) -> bool:
    """Whether true or false may be among the data: searches of bytes are far cheaper than a look at each number."""
    data = body.find(b'"data"')
    # A search for one byte is the cheapest, and behind the first data of most messages there is neither. (A key can
    # be written with a backslash, and would not be found.)
    if data > 0 and b"\\" not in body and body.find(b"u", data) < 0 and body.find(b"f", data) < 0:
        return False
    return holds_booleans(body)


def _objects(message: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = message.get(key, _NO_OBJECTS)
    if type(items) is list:
        for item in items:
            if type(item) is not dict:
                break
        else:
            return items
    raise BadRequestError(f"'{key}' is not a list of objects")


def _object(parameters: object, owner: str) -> dict[str, Any]:
    if parameters is None:
        return _NOTHING
    if not isinstance(parameters, dict):
        raise BadRequestError(f"parameters of '{owner}' are not an object")
    return parameters


def _identifier(message: dict[str, Any]) -> str | None:
    identifier = message.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise BadRequestError("'id' is not a string")
    return identifier


def _binary(message: dict[str, Any], outputs: list[dict[str, Any]], wanted: tuple[str, ...]) -> frozenset[str]:
    """The outputs that are asked for as bytes; an output's own parameter goes before the request's."""
    parameters = message.get("parameters")
    if parameters is None and not outputs:
        return _NO_NAMES
    everything = _flag(_object(parameters, "the request"), "binary_data_output", default=False)
    own = {output["name"]: _object(output.get("parameters"), output["name"]) for output in outputs}
    for name, given in own.items():
        refuse_foreign(given, f"output '{name}'")
    return frozenset(name for name in wanted if _flag(own.get(name, _NOTHING), "binary_data", default=everything))


def _timeout(message: dict[str, Any]) -> float | None:
    """The parameter `timeout`, microseconds as in Triton's scheduling extension, in seconds."""
    parameters = message.get("parameters")
    if not parameters or "timeout" not in parameters:
        return None
    timeout = parameters["timeout"]
    if type(timeout) is not int or timeout <= 0:
        raise BadRequestError("parameter 'timeout' is not a positive whole number of microseconds")
    return timeout / 1e6


def _flag(parameters: dict[str, Any], key: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise BadRequestError(f"parameter '{key}' is not true or false")
    return value


def _json_data(name: str, result: Array) -> Any:
    if result.dtype == np.float16:
        raise BadRequestError(f"output '{name}' is FP16, which has no JSON form; ask for it with binary_data")
    flat = result.ravel()
    return flat.tolist() if result.dtype == np.object_ else flat
