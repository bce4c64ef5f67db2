"""What is a person told once the model answers?"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from loadline_serving.datatypes import Array
from loadline_serving.errors import InferenceFailedError
from loadline_serving.inference import Model
from loadline_serving.made_up import Feeds, blank_inputs, varied_inputs
from loadline_serving.signature import VARIABLE, Signature, TensorSpec

_SHORT_VALUES = 64
"""More values than these in one tensor are not written out."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}
_NO_JSON = "FP16"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a model version is reached."""

    name: str
    version: str
    host: str
    http: int
    grpc: int
    metrics: int

    @property
    def reached_at(self) -> str:
        """The host in an address that works on this machine."""
        return _EVERYWHERE.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)

    @property
    def infer_url(self) -> str:
        """Where inference is asked for over HTTP."""
        return f"http://{self.reached_at}:{self.http}/v2/models/{quote(self.name, safe='')}/infer"


def welcome(place: Place, signature: Signature, inputs: Feeds | None) -> str:
    """Name, inputs and outputs, addresses, and a request that can be pasted."""
    host = place.reached_at
    lines = [
        f"{place.name}, version {place.version}, is ready.",
        *_table("inputs", signature.inputs),
        *_table("outputs", signature.outputs, signature.untransferable),
        f"  HTTP     {place.infer_url}",
        f"  docs     http://{host}:{place.http}/docs",
        f"  gRPC     {host}:{place.grpc}",
        f"  metrics  http://{host}:{place.metrics}/metrics",
        "",
    ]
    if inputs is not None:
        lines += ["Try it:", curl(place.infer_url, signature, inputs), ""]
    return "\n".join([*lines, "Ctrl-C stops it."])


def example_inputs(model: Model) -> Feeds | None:
    """One made-up row that the model takes; None if it takes none of those that are known."""
    outputs = tuple(model.signature.outputs)
    for feeds in (*varied_inputs(model.signature), *blank_inputs(model.signature)):
        shown = {name: _rounded(array) for name, array in feeds.items()}
        try:
            model.run(outputs, shown)
        except InferenceFailedError:
            continue
        return shown
    return None


def curl(url: str, signature: Signature, inputs: Feeds) -> str:
    """A shell command that asks the model: values in JSON where they are few, zeros as bytes where they are many."""
    if any(array.size > _SHORT_VALUES for array in inputs.values()) or _needs_bytes(signature):
        return _curl_with_bytes(url, signature, inputs)
    tensors = [_described(name, array, signature) | {"data": _plain(array)} for name, array in inputs.items()]
    body = json.dumps({"inputs": tensors} | _outputs(signature, binary=False), ensure_ascii=False)
    return f"curl -s {shlex.quote(url)} -d {shlex.quote(body)}"


def _curl_with_bytes(url: str, signature: Signature, inputs: Feeds) -> str:
    """Binary tensors behind the JSON part; FP16 has no other form. The answer goes to a file."""
    blobs = {name: _blob_size(array) for name, array in inputs.items()}
    message = {
        "inputs": [
            _described(name, array, signature) | {"parameters": {"binary_data_size": blobs[name]}}
            for name, array in inputs.items()
        ]
    }
    binary = _NO_JSON in {spec.datatype.name for spec in signature.outputs.values()}
    head = json.dumps(message | _outputs(signature, binary=binary), ensure_ascii=False)
    # Bytes on a terminal would spoil it.
    kept = " -o answer.bin" if binary else ""
    return (
        f"{{ printf %s {shlex.quote(head)}; head -c {sum(blobs.values())} /dev/zero; }} | \\\n"
        f"  curl -s {shlex.quote(url)} -H 'Inference-Header-Content-Length: {len(head.encode())}' \\\n"
        f"  -H 'Content-Type: application/octet-stream' --data-binary @-{kept}"
    )


def _needs_bytes(signature: Signature) -> bool:
    specs = (*signature.inputs.values(), *signature.outputs.values())
    return any(spec.datatype.name == _NO_JSON for spec in specs)


def _blob_size(array: Array) -> int:
    # A string as bytes is its length in four bytes and then itself: zeros are empty strings.
    return array.size * (4 if array.dtype.kind == "O" else array.dtype.itemsize)


def _described(name: str, array: Array, signature: Signature) -> dict[str, Any]:
    return {"name": name, "datatype": signature.inputs[name].datatype.name, "shape": list(array.shape)}


def _outputs(signature: Signature, *, binary: bool) -> dict[str, Any]:
    """Outputs are named only where not all can be had, or not in JSON."""
    if not binary and not signature.untransferable:
        return {}
    form: dict[str, Any] = {"parameters": {"binary_data": True}} if binary else {}
    return {"outputs": [{"name": name} | form for name in signature.outputs]}


def _plain(array: Array) -> list[Any]:
    # 32 bits of 0.05 are 0.05000000074505806 in 64: rounded once more, it reads as it was meant.
    values = array.ravel().tolist()
    return [round(value, 2) for value in values] if array.dtype.kind == "f" else values


def _rounded(array: Array) -> Array:
    return array.round(2) if array.dtype.kind == "f" else array


def _table(title: str, specs: Mapping[str, TensorSpec], others: Mapping[str, str] | None = None) -> Sequence[str]:
    rows = [(spec.name, spec.datatype.name, shape_of(spec)) for spec in specs.values()]
    rows += [(name, onnx_type, "cannot be asked for") for name, onnx_type in (others or {}).items()]
    names = max((len(row[0]) for row in rows), default=0)
    types = max((len(row[1]) for row in rows), default=0)
    return [f"  {title}", *(f"    {name:<{names}}  {kind:<{types}}  {shape}" for name, kind, shape in rows), ""]


def shape_of(spec: TensorSpec) -> str:
    """A shape as people read it: the lengths, and `any` where any will do."""
    return "[" + ", ".join("any" if length == VARIABLE else str(length) for length in spec.shape) + "]"
