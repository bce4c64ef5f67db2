"""The small models that tests serve: each answer tells which model gave it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

COLUMNS = 4
INPUT, OUTPUT = "x", "y"
OPSET = 17
IR_VERSION = 9


def linear(factor: float) -> bytes:
    """A model that answers `factor` times the sum of a row."""
    weights = numpy_helper.from_array(np.full((COLUMNS, 1), factor, dtype=np.float32), "weights")
    return _serialise([helper.make_node("MatMul", [INPUT, "weights"], [OUTPUT])], [weights])


def slow(factor: float, *, turns: int, width: int = 256) -> bytes:
    """A linear model that multiplies a square of `width` with itself `turns` times before it answers."""
    square = helper.make_tensor_value_info("square", TensorProto.FLOAT, [width, width])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("MatMul", ["square", "identity"], ["multiplied"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn_number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            square,
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("multiplied", TensorProto.FLOAT, [width, width]),
        ],
    )
    nodes = [
        helper.make_node("MatMul", [INPUT, "weights"], ["plain"]),
        # The square starts as zero times the input's sum, so that no optimiser can do the work beforehand.
        helper.make_node("ReduceSum", [INPUT], ["total"], keepdims=0),
        helper.make_node("Mul", ["zeros", "total"], ["first"]),
        helper.make_node("Loop", ["turns", "true", "first"], ["last"], body=body),
        helper.make_node("ReduceSum", ["last"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["plain", "nothing"], [OUTPUT]),
    ]
    constants = [
        numpy_helper.from_array(np.full((COLUMNS, 1), factor, dtype=np.float32), "weights"),
        numpy_helper.from_array(np.zeros((width, width), dtype=np.float32), "zeros"),
        numpy_helper.from_array(np.eye(width, dtype=np.float32), "identity"),
        numpy_helper.from_array(np.array(turns, dtype=np.int64), "turns"),
        numpy_helper.from_array(np.array(True), "true"),
    ]
    return _serialise(nodes, constants)


def with_unknown_operator() -> bytes:
    """A well-formed model whose only operator no runtime has."""
    node = helper.make_node("Divine", [INPUT], [OUTPUT], domain="example.oracle")
    return _serialise([node], [], domains=["example.oracle"])


def _serialise(nodes: Sequence[Any], constants: Sequence[Any], *, domains: Sequence[str] = ()) -> bytes:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", COLUMNS])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", 1])],
        list(constants),
    )
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
