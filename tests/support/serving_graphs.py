"""Small ONNX graphs for the serving runtime's tests, each with one trait."""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper
from onnx.helper import (
    make_graph,
    make_map_type_proto,
    make_model,
    make_node,
    make_opsetid,
    make_sequence_type_proto,
    make_tensor_type_proto,
    make_tensor_value_info,
    make_value_info,
)

ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
"""ONNX's element type by the inference protocol's name."""


def identity(datatype: str = "FP32") -> bytes:
    """`y` is `x`, of any two dimensions."""
    element = ELEMENTS[datatype]
    return _model(
        [make_node("Identity", ["x"], ["y"])],
        [make_tensor_value_info("x", element, ["n", "m"])],
        [make_tensor_value_info("y", element, ["n", "m"])],
    )


def classifier() -> bytes:
    """A dense layer of 4 numbers to 3 scores, the way tabular models look."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
    return _model(
        [make_node("MatMul", ["x", "w"], ["scores"])],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        initializers=[numpy_helper.from_array(weights, "w")],
    )


def two_in_two_out() -> bytes:
    """`sum` and `difference` of `a` and `b`."""
    shape = ["n"]
    return _model(
        [make_node("Add", ["a", "b"], ["sum"]), make_node("Sub", ["a", "b"], ["difference"])],
        [make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("a", "b")],
        [make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("sum", "difference")],
    )


def columns() -> bytes:
    """A table of one column for each kind of value, each answered as it came."""
    kinds = {"age": "INT64", "small": "UINT8", "name": "BYTES", "member": "BOOL", "risk": "FP32", "share": "FP16"}
    return _model(
        [make_node("Identity", [name], [f"{name}_again"]) for name in kinds],
        [make_tensor_value_info(name, ELEMENTS[kind], ["n", 1]) for name, kind in kinds.items()],
        [make_tensor_value_info(f"{name}_again", ELEMENTS[kind], ["n", 1]) for name, kind in kinds.items()],
    )


def raises_on_large_index() -> bytes:
    """A look-up in a table of three: index 3 and more make the runtime raise."""
    table = np.array([1, 2, 3], np.float32)
    return _model(
        [make_node("Gather", ["table", "index"], ["y"])],
        [make_tensor_value_info("index", TensorProto.INT64, ["n"])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        initializers=[numpy_helper.from_array(table, "table")],
    )


def slow() -> bytes:
    """The product of two square matrices of ones: the sides are given by `side`, so the time is the caller's choice."""
    one = numpy_helper.from_array(np.array([1], np.float32))
    return _model(
        [
            make_node("Concat", ["side", "side"], ["shape"], axis=0),
            make_node("ConstantOfShape", ["shape"], ["ones"], value=one),
            make_node("MatMul", ["ones", "ones"], ["product"]),
            make_node("ReduceMax", ["product"], ["y"], keepdims=0),
        ],
        [make_tensor_value_info("side", TensorProto.INT64, [1])],
        [make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )


def picture(kernel: int) -> bytes:
    """A convolution over pictures of any size, that fails on one smaller than its kernel."""
    weights = np.ones((1, 3, kernel, kernel), np.float32)
    return _model(
        [make_node("Conv", ["x", "w"], ["y"])],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, "a", "b"])],
        initializers=[numpy_helper.from_array(weights, "w")],
    )


def with_zipmap(labels: Sequence[int] | Sequence[str] = (10, 20)) -> bytes:
    """A classifier as scikit-learn's converter writes it: a label, and maps from label to probability."""
    texts = isinstance(labels[0], str)
    element = TensorProto.STRING if texts else TensorProto.INT64
    maps = make_sequence_type_proto(make_map_type_proto(element, make_tensor_type_proto(TensorProto.FLOAT, [])))
    classes = {"classlabels_strings" if texts else "classlabels_int64s": labels}
    looked_up = {"keys_int64s": [0, 1], "values_strings" if texts else "values_int64s": labels}
    return _model(
        [
            make_node("ArgMax", ["x"], ["index"], axis=1, keepdims=0),
            make_node("LabelEncoder", ["index"], ["label"], domain="ai.onnx.ml", **looked_up),
            make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", **classes),
        ],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [make_tensor_value_info("label", element, ["n"]), make_value_info("probabilities", maps)],
    )


def with_sequence_output() -> bytes:
    """An output that the protocol has no form for, beside one that it has."""
    sequence = make_sequence_type_proto(make_tensor_type_proto(TensorProto.FLOAT, None))
    return _model(
        [make_node("SplitToSequence", ["x"], ["parts"]), make_node("Identity", ["x"], ["y"])],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [make_value_info("parts", sequence), make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )


def with_unknown_operator(domain: str) -> bytes:
    """A node `Teleport`, which no runtime has."""
    return _model(
        [make_node("Teleport", ["x"], ["y"], domain=domain)],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )


def never_runs() -> bytes:
    """A look-up that is out of range whatever comes in."""
    table = np.array([1, 2, 3], np.float32)
    return _model(
        [make_node("Add", ["index", "far"], ["beyond"]), make_node("Gather", ["table", "beyond"], ["y"])],
        [make_tensor_value_info("index", TensorProto.INT64, ["n"])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        initializers=[
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([100], np.int64), "far"),
        ],
    )


def across_rows(operator: str, **attributes: int) -> bytes:
    """Scores that an operator then mixes across the rows of a request, shape as before."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
    return _model(
        [make_node("MatMul", ["x", "w"], ["raw"]), make_node(operator, ["raw"], ["scores"], **attributes)],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        initializers=[numpy_helper.from_array(weights, "w")],
    )


def quantised_on_the_fly() -> bytes:
    """A dense layer whose input is rounded to 8 bits by a scale that is taken of the whole request."""
    weights = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
    return _model(
        [
            make_node("DynamicQuantizeLinear", ["x"], ["rounded", "scale", "zero"]),
            make_node("MatMulInteger", ["rounded", "w", "zero"], ["sums"]),
            make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
            make_node("Mul", ["floats", "scale"], ["scores"]),
        ],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        initializers=[numpy_helper.from_array(weights, "w")],
    )


def one_row_only() -> bytes:
    """A dense layer exported for a batch of exactly one."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
    return _model(
        [make_node("MatMul", ["x", "w"], ["scores"])],
        [make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        initializers=[numpy_helper.from_array(weights, "w")],
    )


def sum_of_rows() -> bytes:
    """The sum of all rows: one vector whose length is the number of columns, whatever comes in."""
    return _model(
        [make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=0)],
        [make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m"])],
        [make_tensor_value_info("y", TensorProto.FLOAT, ["m"])],
        initializers=[numpy_helper.from_array(np.array([0], np.int64), "axis")],
    )


def _model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
) -> bytes:
    graph = make_graph(nodes, "test", inputs, outputs, initializers)
    opsets = [make_opsetid("", 17), make_opsetid("ai.onnx.ml", 3), make_opsetid("com.acme", 1)]
    model: ModelProto = make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())
