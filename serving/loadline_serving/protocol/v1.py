"""How is a predict message of V1 (TensorFlow Serving's REST form) read and written?

By rows: `{"instances": […]}` is answered by `{"predictions": […]}`. By columns: `{"inputs": …}` by `{"outputs": …}`.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from loadline_serving.datatypes import Array
from loadline_serving.errors import BadRequestError, UnsupportedOutputError
from loadline_serving.inference import Identity, InferRequest
from loadline_serving.protocol import tables
from loadline_serving.protocol.json_body import holds_booleans
from loadline_serving.protocol.questions import (
    Question,
    dump,
    load_object,
    nested,
    one_of,
    tensor,
)
from loadline_serving.signature import Signature, TensorSpec

_KEYS = ("instances", "inputs", "signature_name")
_SIGNATURE = "serving_default"
_BASE64 = {"b64"}


class Reader:
    """V1 for one model."""

    def __init__(self, signature: Signature, identity: Identity) -> None:
        self._signature = signature
        self._table = tables.table_of(signature)
        self._identity = identity

    def read(self, body: bytes) -> Question:
        """The question in a body."""
        message = load_object(body, _KEYS)
        if message.get("signature_name", _SIGNATURE) != _SIGNATURE:
            raise BadRequestError(f"the model has one signature, '{_SIGNATURE}'; leave signature_name out")
        booleans = holds_booleans(body)
        outputs = self._signature.wanted(())
        if one_of(message, _KEYS[:2]) == "instances":
            rows = _rows(message["instances"])
            request = InferRequest(id=None, feeds=self._by_row(rows, booleans=booleans), outputs=outputs)
            return Question(request, partial(_predictions, outputs, len(rows)))
        feeds = self._by_input(message["inputs"], booleans=booleans)
        return Question(InferRequest(id=None, feeds=feeds, outputs=outputs), partial(_outputs, outputs))

    def _by_row(self, rows: list[Any], *, booleans: bool) -> Mapping[str, Array]:
        if not isinstance(rows[0], dict) or rows[0].keys() == _BASE64:
            spec = self._only_input("instances that are no objects")
            return {spec.name: self._tensor(spec, rows, booleans=booleans)}
        if self._table is not None and not self._signature.inputs.keys() >= rows[0].keys():
            return self._table.from_rows(rows, booleans=booleans)
        names = self._signature.inputs
        for index, row in enumerate(rows):
            if not isinstance(row, dict) or row.keys() != names.keys():
                has = ", ".join(row) if isinstance(row, dict) else "no names"
                raise BadRequestError(f"instance {index} has {has}; the model expects {', '.join(names)}")
        return self._by_input({name: _column(spec, rows) for name, spec in names.items()}, booleans=booleans)

    def _by_input(self, values: object, *, booleans: bool) -> Mapping[str, Array]:
        if not isinstance(values, dict) or values.keys() == _BASE64:
            spec = self._only_input("inputs that are no object")
            return {spec.name: self._tensor(spec, values, booleans=booleans)}
        feeds: dict[str, Array] = {}
        for name, data in values.items():
            spec = self._signature.input(name, feeds)
            feeds[name] = self._tensor(spec, data, booleans=booleans)
        self._signature.expect_all(feeds)
        return feeds

    def _only_input(self, what: str) -> TensorSpec:
        if len(self._signature.inputs) != 1:
            names = ", ".join(self._signature.inputs)
            raise BadRequestError(f"{what} fit a model with one input; name this model's inputs: {names}")
        return next(iter(self._signature.inputs.values()))

    def _tensor(self, spec: TensorSpec, data: object, *, booleans: bool) -> Array:
        if spec.datatype.name == "BYTES":
            data = _without_base64(spec, data)
        return tensor(spec, data, booleans=booleans)


def _rows(instances: object) -> list[Any]:
    if not isinstance(instances, list) or not instances:
        raise BadRequestError("'instances' is not a list with one element for each row")
    return instances


def _column(spec: TensorSpec, rows: list[dict[str, Any]]) -> list[Any]:
    """One input's values; of an input that is a single value in each row, also without its brackets."""
    values = [row[spec.name] for row in rows]
    if spec.shape[1:] == (1,) and not isinstance(values[0], list):
        return [[value] for value in values]
    return values


def _predictions(names: Sequence[str], rows: int, results: Sequence[Array]) -> bytes:
    for name, result in zip(names, results, strict=True):
        if not result.ndim or len(result) != rows:
            raise UnsupportedOutputError(
                f"output '{name}' of shape {list(result.shape)} has no row for each of the {rows} instances; "
                "send the tensors as 'inputs' instead"
            )
    if len(results) == 1:
        return dump({"predictions": nested(results[0])})
    columns = [_by_row(result) for result in results]
    return dump({"predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]})


def _by_row(result: Array) -> list[Any]:
    """One element for each row. FP32 stays numpy's, which is written as short as it is; Python's float is a double."""
    if result.ndim > 1:
        return [nested(row) for row in result]
    return list(result) if result.dtype.kind == "f" else result.tolist()


def _outputs(names: Sequence[str], results: Sequence[Array]) -> bytes:
    if len(results) == 1:
        return dump({"outputs": nested(results[0])})
    return dump({"outputs": {name: nested(result) for name, result in zip(names, results, strict=True)}})


def _without_base64(spec: TensorSpec, data: object) -> Any:
    """The same nested strings, those written as `{"b64": …}` decoded."""
    if isinstance(data, list):
        return [_without_base64(spec, item) for item in data]
    if not isinstance(data, dict):
        return data
    text = data.get("b64") if data.keys() == _BASE64 else None
    try:
        return b64decode(text, validate=True).decode()  # type: ignore[arg-type]  # what is no text is refused below
    except (TypeError, ValueError, Base64Error):
        raise BadRequestError(
            f"input '{spec.name}' holds an object that is not {{\"b64\": …}} around base64 of UTF-8 text"
        ) from None
