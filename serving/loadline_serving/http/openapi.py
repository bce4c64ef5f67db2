"""How is the server described in OpenAPI, with the names, shapes and examples of the model that is loaded?

Written from the signature and not by FastAPI: what runs the model never passes through it.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from loadline_serving.datatypes import Datatype
from loadline_serving.http.dialects import PREDICT, v1_predict
from loadline_serving.inference import Identity
from loadline_serving.protocol import metadata
from loadline_serving.protocol.tables import Table, table_of
from loadline_serving.signature import VARIABLE, Signature, TensorSpec

Schema = dict[str, Any]

_MAX_EXAMPLE_VALUES = 256
_FAULTS = {
    "400": "The message is not what the model takes",
    "408": "The request took too long to come",
    "413": "The body is over the limit",
    "415": "The body is compressed",
    "429": "More is asked than can be answered in time; try again after Retry-After",
    "500": "The model failed on this input",
    "501": "An output that has no form in this protocol",
    "503": "The model is still loading",
    "504": "The deadline passed before the model could run",
}
_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_PARAMETERS: Schema = {"type": ["object", "null"]}
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def document(identity: Identity, signature: Signature | None) -> Schema:
    """The OpenAPI document; before the model is loaded, that of the server alone."""
    paths = _about_the_server(identity)
    if signature is not None:
        paths |= _about_the_model(identity, signature)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Loadline: {identity.name}",
            "version": identity.version,
            "summary": "One model version, over V2 (Open Inference Protocol), V1, and plain tables",
        },
        # Relative to the document itself: right behind a gateway that takes a part off the path, and without one.
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": {"Error": _object({"error": _TEXT})}},
    }


def _about_the_server(identity: Identity) -> Schema:
    names = _object({"models": _list(_TEXT)})
    readiness = _object({"ready": _FLAG})
    model_readiness = _object({"name": _TEXT, "ready": _FLAG})
    index = _list(
        _object({"name": _TEXT, "version": _TEXT, "state": {"enum": ["READY", "UNAVAILABLE"]}, "reason": _TEXT})
    )
    paths = {
        "/v2": _get("What this server is", _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)})),
        "/v2/health/live": _get("Whether the process runs", _object({"live": _FLAG})),
        "/v2/health/ready": _get("Whether requests should be sent here", readiness, not_ready=readiness),
        "/v2/models": _get("The one model that is here", names),
        "/v2/models/stats": _get("How often the model was asked", _STATS),
        "/v1/models": _get("The one model that is here (V1)", names),
        f"/v1/models/{identity.name}": _get("Whether it answers (V1)", model_readiness, not_ready=model_readiness),
        "/v2/repository/index": _post(
            "Which models are here, and whether they answer",
            {"type": "object", "properties": {"ready": _FLAG}, "example": {"ready": True}},
            index,
            faults=("400", "413", "415"),
            required=False,
        ),
    }
    for path in _model_paths(identity):
        paths[f"{path}/ready"] = _get("Whether the model answers", model_readiness, not_ready=model_readiness)
        paths[f"{path}/stats"] = _get("How often the model was asked, and where the time went", _STATS)
    return paths


def _about_the_model(identity: Identity, signature: Signature) -> Schema:
    paths: Schema = {}
    question, answer = _v2_question(signature), _v2_answer(signature)
    for path in _model_paths(identity):
        paths[path] = _get(
            "What the model takes and gives", _model_metadata(), example=metadata.model(identity, signature)
        )
        paths[f"{path}/infer"] = _with_binary_tensors(_post("Run the model (V2)", question, answer))
    paths[v1_predict(identity.name)] = _post("Run the model (V1)", _v1_question(signature), _v1_answer(signature))
    table = table_of(signature)
    told = "Run the model on a table" if table else "Run the model on tensors"
    paths[PREDICT] = _post(told, _predict_question(signature, table), _predict_answer(signature))
    return paths


def _model_paths(identity: Identity) -> tuple[str, str]:
    model = f"/v2/models/{identity.name}"
    return model, f"{model}/versions/{identity.version}"


# --- V2 ---


def _v2_question(signature: Signature) -> Schema:
    inputs = [_v2_input(spec) for spec in signature.inputs.values()]
    asked = _object({"name": {"enum": list(signature.outputs)}}, {"parameters": _PARAMETERS})
    return _object(
        {
            "inputs": {
                **_list(inputs[0] if len(inputs) == 1 else {"anyOf": inputs}),
                "minItems": len(inputs),
                "maxItems": len(inputs),
            }
        },
        {"id": _MAYBE_TEXT, "parameters": _PARAMETERS, "outputs": _list(asked)},
    ) | _example(signature, lambda: {"id": "1", "inputs": [_v2_example(spec) for spec in signature.inputs.values()]})


def _with_binary_tensors(described: Schema) -> Schema:
    """The same operation, with tensors as bytes behind the JSON part in both directions."""
    header = {"Inference-Header-Content-Length": {"description": "Where the JSON part ends", "schema": _COUNT}}
    [(name, told)] = header.items()
    operation = described["post"]
    operation["parameters"] = [{"name": name, "in": "header", "required": False, **told}]
    operation["requestBody"]["content"] |= _BINARY
    operation["responses"]["200"]["content"] |= _BINARY
    operation["responses"]["200"]["headers"] = header
    return described


def _v2_input(spec: TensorSpec) -> Schema:
    return _object(
        {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype.name},
            "shape": {
                "type": "array",
                "description": _shape_told(spec),
                "prefixItems": [_length(length) for length in spec.shape],
                "minItems": len(spec.shape),
                "maxItems": len(spec.shape),
            },
            "data": {"type": "array", "description": "Row-major, flat or nested by the shape"},
        },
        {"parameters": _PARAMETERS},
    )


def _v2_answer(signature: Signature) -> Schema:
    output = _object(
        {
            "name": {"enum": list(signature.outputs)},
            "datatype": {"enum": sorted({spec.datatype.name for spec in signature.outputs.values()})},
            "shape": _list(_COUNT),
        },
        {"data": {"type": "array"}, "parameters": {"type": "object"}},
    )
    return _object({"model_name": _TEXT, "model_version": _TEXT, "outputs": _list(output)}, {"id": _TEXT})


def _v2_example(spec: TensorSpec) -> Schema:
    shape = _example_shape(spec)
    data = [_example_value(spec.datatype, index) for index in range(prod(shape))]
    return {"name": spec.name, "datatype": spec.datatype.name, "shape": shape, "data": data}


def _model_metadata() -> Schema:
    tensors = _list(_object({"name": _TEXT, "datatype": _TEXT, "shape": _list({"type": "integer"})}))
    return _object({"name": _TEXT, "versions": _list(_TEXT), "platform": _TEXT, "inputs": tensors, "outputs": tensors})


# --- V1 ---


def _v1_question(signature: Signature) -> Schema:
    specs = list(signature.inputs.values())
    values = {spec.name: _nested_schema(spec) for spec in specs}
    named = _closed(values)
    by_column = {"anyOf": [named, next(iter(values.values()))]} if len(specs) == 1 else named
    rows = {"type": "array", "minItems": 1, "description": "One element for each row"}
    return {"oneOf": [_closed({"instances": rows}), _closed({"inputs": by_column})]} | _example(
        signature, lambda: {"inputs": {spec.name: _example_nested(spec) for spec in specs}}
    )


def _v1_answer(signature: Signature) -> Schema:
    names = ", ".join(signature.outputs)
    return {
        "oneOf": [
            _object({"predictions": {"type": "array", "description": f"One element for each row, of {names}"}}),
            _object({"outputs": {"description": names}}),
        ]
    }


# --- tables ---


def _predict_question(signature: Signature, table: Table | None) -> Schema:
    specs = list(signature.inputs.values())
    more = {"id": _MAYBE_TEXT, "outputs": {**_list({"enum": list(signature.outputs)}), "uniqueItems": True}}
    tensors = _closed({"inputs": _closed({spec.name: _nested_schema(spec) for spec in specs})}, more)
    if table is None:
        return tensors | _example(signature, lambda: {"inputs": {spec.name: _example_nested(spec) for spec in specs}})
    row = {name: _value_schema(datatype, nullable=True) for name, datatype in table.columns.items()}
    columns = {name: {**_list(schema), "minItems": 1} for name, schema in row.items()}
    rows = [{name: _example_value(datatype, index) for name, datatype in table.columns.items()} for index in range(2)]
    return {
        "oneOf": [
            _closed({"rows": {**_list(_closed(row)), "minItems": 1}}, more),
            _closed({"columns": _closed(columns)}, more),
            tensors,
        ],
        "example": {"rows": rows},
    }


def _predict_answer(signature: Signature) -> Schema:
    outputs: Mapping[str, Schema] = {
        name: {"description": f"{spec.datatype.name}, nested by its shape {_shape_told(spec)}"}
        for name, spec in signature.outputs.items()
    }
    some = {"type": "object", "properties": dict(outputs), "additionalProperties": False}
    return _object({"model": _TEXT, "version": _TEXT, "outputs": some}, {"id": _TEXT})


# --- values ---


def _nested_schema(spec: TensorSpec) -> Schema:
    schema = _value_schema(spec.datatype)
    for dimension, length in reversed(list(enumerate(spec.shape))):
        if length != VARIABLE:
            limits = {"minItems": length, "maxItems": length}
        else:
            # An empty list does not tell the lengths of the dimensions inside it.
            limits = {} if dimension == len(spec.shape) - 1 else {"minItems": 1}
        schema = _list(schema) | limits
    return schema | {"description": f"{spec.datatype.name}, shape {_shape_told(spec)}"}


def _value_schema(datatype: Datatype, *, nullable: bool = False) -> Schema:
    match datatype.numpy.kind:
        case "O":
            return _TEXT
        case "b":
            return _FLAG
        case "f":
            number: Schema = {"type": "number", **_within(datatype)}
            return number | {"type": ["number", "null"], "description": "null: missing"} if nullable else number
        case kind:
            bits = 8 * datatype.numpy.itemsize
            least, most = (0, 2**bits - 1) if kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            return {"type": "integer", "minimum": least, "maximum": most}


def _within(datatype: Datatype) -> Schema:
    """The numbers that a narrow type holds: up to half a step beyond its largest, as they are rounded to it."""
    if datatype.name == "FP64":
        return {}
    largest = np.finfo(datatype.numpy).max
    bound = float(largest) + (float(largest) - float(np.nextafter(largest, np.zeros_like(largest)))) / 2
    return {"exclusiveMinimum": -bound, "exclusiveMaximum": bound}


def _example_value(datatype: Datatype, index: int) -> Any:
    match datatype.numpy.kind:
        case "O":
            return f"text {index}"
        case "b":
            return index % 2 == 0
        case "f":
            return 0.5 * (index % 10)
        case _:
            return index % 10


def _example_shape(spec: TensorSpec) -> list[int]:
    return [1 if length == VARIABLE else length for length in spec.shape]


def _example(signature: Signature, make: Callable[[], Schema]) -> Schema:
    """An example, unless it would be a picture's worth of numbers."""
    small = all(prod(_example_shape(spec)) <= _MAX_EXAMPLE_VALUES for spec in signature.inputs.values())
    return {"example": make()} if small else {}


def _example_nested(spec: TensorSpec) -> Any:
    return _filled(_example_shape(spec), spec.datatype)


def _filled(shape: list[int], datatype: Datatype) -> Any:
    if not shape:
        return _example_value(datatype, 0)
    if len(shape) == 1:
        return [_example_value(datatype, index) for index in range(shape[0])]
    return [_filled(shape[1:], datatype) for _ in range(shape[0])]


def _length(length: int) -> Schema:
    return _COUNT if length == VARIABLE else {"const": length}


def _shape_told(spec: TensorSpec) -> str:
    return f"{list(spec.shape)} (-1: any length)" if VARIABLE in spec.shape else str(list(spec.shape))


# --- OpenAPI ---


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required)}


def _closed(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return _object(required, optional) | {"additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _get(summary: str, answer: Schema, *, not_ready: Schema | None = None, example: Any = None) -> Schema:
    responses = {"200": _response("The answer", answer, example=example)}
    if not_ready is not None:
        responses["503"] = _response("Not ready", not_ready)
    return {"get": {"summary": summary, "responses": responses}}


def _post(
    summary: str,
    question: Schema,
    answer: Schema,
    *,
    faults: tuple[str, ...] = tuple(_FAULTS),
    required: bool = True,
) -> Schema:
    body = {"required": required, "content": {"application/json": {"schema": question}}}
    error = {"$ref": "#/components/schemas/Error"}
    responses = {"200": _response("The answer", answer)} | {fault: _response(_FAULTS[fault], error) for fault in faults}
    return {"post": {"summary": summary, "requestBody": body, "responses": responses}}


def _response(description: str, schema: Schema, *, example: Any = None) -> Schema:
    content = {"schema": schema} | ({"example": example} if example is not None else {})
    return {"description": description, "content": {"application/json": content}}


_SUM = _object({"count": _COUNT, "ns": _COUNT})
_PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
_STATS = _object(
    {
        "model_stats": _list(
            _object(
                {
                    "name": _TEXT,
                    "version": _TEXT,
                    "last_inference": _COUNT,
                    "inference_count": _COUNT,
                    "execution_count": _COUNT,
                    "inference_stats": _object(dict.fromkeys(_PARTS, _SUM)),
                    "batch_stats": {"type": "array"},
                }
            )
        )
    }
)
