"""How does an ONNX file become a model that is warm, or a fault that says why not?"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

# ONNX Runtime's Linux build sends usage events to its makers and keeps a database for them under $HOME. It looks
# at this variable when it is loaded, so it stands before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort
from loadline_contracts.conditions import Reason
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from loadline_serving import columns
from loadline_serving.datatypes import BY_ONNX_TYPE, Array
from loadline_serving.errors import InferenceFailedError, StartupFault
from loadline_serving.outline import STANDARD_DOMAIN, Operator
from loadline_serving.settings import Device, GraphOptimization
from loadline_serving.signature import VARIABLE, Signature, TensorSpec

_ORT_FAULTS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
    RuntimeError,
    ValueError,
)
_OPTIMIZATION = {
    GraphOptimization.DISABLED: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    GraphOptimization.BASIC: ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    GraphOptimization.EXTENDED: ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    GraphOptimization.ALL: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_MAPS = re.compile(r"seq\(map\((string|int64),tensor\(float\)\)\)")
_NO_GRAPH = re.compile(r"does not have a graph|No graph was found")
_CUSTOM_OPERATOR = re.compile(r"([\w.\-]*):(\w+)\((-?\d+)\) is not a registered function/op")
_UNKNOWN_OPERATOR = re.compile(r"No Op registered for (\w+) with domain_version of (\d+)")
_NO_KERNEL = re.compile(r"Could not find an implementation for ([\w.:]+)\((\d+)\) node")


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeOptions:
    """How ONNX Runtime runs the model."""

    threads: int = 1
    graph_optimization: GraphOptimization = GraphOptimization.ALL
    device: Device = Device.CPU
    memory_arena: bool = True
    memory_pattern: bool = True
    io_binding: bool = False


class OnnxModel:
    """One ONNX Runtime session and its signature."""

    def __init__(
        self, session: ort.InferenceSession, signature: Signature, maps: frozenset[str], options: RuntimeOptions
    ) -> None:
        self._session = session
        self._signature = signature
        self._maps = maps
        self._run = self._run_bound if options.io_binding else session.run

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        return self._signature

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Compute the outputs in the calling thread; the interpreter lock is free meanwhile."""
        try:
            results: list[Any] = self._run(outputs, feeds)
        except _ORT_FAULTS as error:
            raise InferenceFailedError(f"the model failed on this input: {_first_line(error)}") from error
        if self._maps:
            return [
                _table(result) if name in self._maps else result for name, result in zip(outputs, results, strict=True)
            ]
        return results

    def _run_bound(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Any]:
        binding = self._session.io_binding()
        for name, tensor in feeds.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(tensor))
        for name in outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        results: list[Any] = binding.copy_outputs_to_cpu()
        return results


def load(path: Path, options: RuntimeOptions) -> OnnxModel:
    """Open an ONNX file; every fault is a StartupFault that names the cause."""
    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session_options.inter_op_num_threads = 1
    session_options.graph_optimization_level = _OPTIMIZATION[options.graph_optimization]
    # Spinning threads would take CPU time from the event loop between requests.
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session_options.enable_cpu_mem_arena = options.memory_arena
    session_options.enable_mem_pattern = options.memory_pattern
    # What it would log at a wrong input is told to the caller; the log is ours, one JSON object a line.
    session_options.log_severity_level = 4
    try:
        session = ort.InferenceSession(path, session_options, providers=_providers(options))
    except _ORT_FAULTS as error:
        raise _load_fault(path.name, error) from error
    _expect_device(session, options)
    outputs = session.get_outputs()
    maps = frozenset(output.name for output in outputs if _MAPS.fullmatch(output.type))
    signature = _signature(path.name, session.get_inputs(), outputs)
    names = columns.names(session.get_modelmeta().custom_metadata_map, path.parent, signature)
    return OnnxModel(session, replace(signature, columns=names), maps, options)


def _providers(options: RuntimeOptions) -> list[str]:
    """What runs the operators, best first. A GPU has the CPU beside it: some operators have no other kernel."""
    if options.device is Device.CPU:
        return [_CPU]
    if _CUDA not in ort.get_available_providers():
        raise StartupFault(
            Reason.GPU_UNAVAILABLE,
            f"device gpu was asked for, but this image's ONNX Runtime {ort.__version__} has no CUDA; use the GPU image",
        )
    # CUDA's libraries come from Python packages in the image, where the loader would not look for them.
    ort.preload_dlls()
    return [_CUDA, _CPU]


def _expect_device(session: ort.InferenceSession, options: RuntimeOptions) -> None:
    # ONNX Runtime goes on with the CPU, and says so only in its log, where CUDA finds no device.
    if options.device is Device.GPU and _CUDA not in session.get_providers():
        raise StartupFault(
            Reason.GPU_UNAVAILABLE,
            "device gpu was asked for, but CUDA finds no GPU: the pod must request nvidia.com/gpu on a node with one",
        )


def known_operators() -> Mapping[Operator, int]:
    """The operators that this build of ONNX Runtime knows, each with the first version of its domain that has it."""
    known: dict[Operator, int] = {}
    for schema in ort_errors.get_all_operator_schema():
        operator = Operator(schema.domain or STANDARD_DOMAIN, schema.name)
        known[operator] = min(schema.since_version, known.get(operator, schema.since_version))
    return known


def _load_fault(name: str, error: Exception) -> StartupFault:
    text = _first_line(error)
    if isinstance(error, ort_errors.InvalidProtobuf) or _NO_GRAPH.search(text):
        return StartupFault(
            Reason.NOT_ONNX, f"{name} is not an ONNX model, or is cut short: ONNX Runtime cannot parse it"
        )
    if operator := _operator(text):
        return StartupFault(
            Reason.UNSUPPORTED_OPERATOR,
            f"{name} uses {operator}, which ONNX Runtime {ort.__version__} does not have; "
            "export the model with standard operators or an older opset",
        )
    return StartupFault(Reason.MODEL_LOAD_FAILED, f"ONNX Runtime {ort.__version__} cannot load {name}: {text}")


def _operator(text: str) -> str | None:
    if match := _CUSTOM_OPERATOR.search(text):
        domain, operator, opset = match.groups()
        return f"operator {operator} of domain '{domain or 'ai.onnx'}', opset {opset}"
    if match := _UNKNOWN_OPERATOR.search(text):
        return f"operator {match[1]} of domain 'ai.onnx', opset {match[2]}"
    if match := _NO_KERNEL.search(text):
        domain, _, operator = match[1].rpartition(":")
        return f"operator {operator} of domain '{domain or 'ai.onnx'}', opset {match[2]}"
    return None


def _signature(name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Signature:
    for node in inputs:
        if node.type not in BY_ONNX_TYPE:
            raise StartupFault(
                Reason.MODEL_LOAD_FAILED,
                f"input '{node.name}' of {name} is of type {node.type}, which the inference protocol cannot carry",
            )
    specs = {node.name: spec for node in outputs if (spec := _output(node)) is not None}
    return Signature(
        inputs={node.name: _tensor(node, node.type) for node in inputs},
        outputs=specs,
        untransferable={node.name: node.type for node in outputs if node.name not in specs},
        all_outputs=tuple(node.name for node in outputs),
    )


def _output(node: Any) -> TensorSpec | None:
    if _MAPS.fullmatch(node.type):
        datatype = BY_ONNX_TYPE["tensor(float)"]
        return TensorSpec(name=node.name, datatype=datatype, shape=(VARIABLE, VARIABLE))
    return _tensor(node, node.type) if node.type in BY_ONNX_TYPE else None


def _tensor(node: Any, onnx_type: str) -> TensorSpec:
    shape = tuple(length if isinstance(length, int) else VARIABLE for length in node.shape)
    return TensorSpec(name=node.name, datatype=BY_ONNX_TYPE[onnx_type], shape=shape)


def _table(rows: Sequence[Mapping[Any, float]]) -> Array:
    """One row of probabilities for each map of scikit-learn's ZipMap, columns in the maps' order of labels."""
    labels = list(rows[0]) if rows else []
    return np.array([[row[label] for label in labels] for row in rows], np.float32).reshape(len(rows), len(labels))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:1000]
