"""Which models are the servers measured with? `make_model.py NAME FILE` writes one, the same on every machine.

It runs in the training environment: scikit-learn and skl2onnx are no dependencies of the workspace.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = helper.make_opsetid("", 17)
WIDTHS = (256, 512, 512, 512, 10)
BLOCKS = ((16, 1), (32, 2), (64, 2), (128, 2))
"""Channels and stride of each residual block."""
CLASSES = 100


def tabular() -> onnx.ModelProto:
    """Gradient boosting: 100 trees of depth 3 over 30 features, probabilities of two classes."""
    from skl2onnx import to_onnx  # noqa: PLC0415
    from sklearn.datasets import make_classification  # noqa: PLC0415
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415

    features, labels = make_classification(4000, 30, n_informative=15, random_state=0)
    features = features.astype(np.float32)
    trees = GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=0).fit(features, labels)
    model = to_onnx(trees, features[:1], options={id(trees): {"zipmap": False}}, target_opset=17)
    return _with_names(model, {model.graph.input[0].name: "input", "probabilities": "output"})


def mlp() -> onnx.ModelProto:
    """Four dense layers, ReLU between them."""
    random = np.random.default_rng(0)
    nodes, weights, tensor = [], [], "input"
    for layer, (before, after) in enumerate(pairwise(WIDTHS)):
        scale = np.float32((2 / before) ** 0.5)
        weights.append(_weights(random, f"w{layer}", (before, after), scale))
        weights.append(numpy_helper.from_array(np.zeros(after, np.float32), f"b{layer}"))
        last = layer == len(WIDTHS) - 2
        nodes.append(
            helper.make_node("Gemm", [tensor, f"w{layer}", f"b{layer}"], ["output" if last else f"gemm{layer}"])
        )
        if not last:
            nodes.append(helper.make_node("Relu", [f"gemm{layer}"], [f"relu{layer}"]))
        tensor = f"relu{layer}"
    return _model("mlp", nodes, weights, row=WIDTHS[:1], answer=WIDTHS[-1])


def conv() -> onnx.ModelProto:
    """A stem and four residual blocks, pooled, and one dense layer."""
    net = _ConvNet()
    tensor = net.relu(net.conv("input", 3, 16, kernel=7, stride=4))
    before = 16
    for after, stride in BLOCKS:
        inner = net.relu(net.conv(tensor, before, after, kernel=3, stride=stride))
        inner = net.conv(inner, after, after, kernel=3, stride=1)
        short = tensor if (before, stride) == (after, 1) else net.conv(tensor, before, after, kernel=1, stride=stride)
        tensor, before = net.relu(net.node("Add", inner, short)), after
    return net.finished(net.node("Flatten", net.node("GlobalAveragePool", tensor)), before)


class _ConvNet:
    """A graph that grows node by node."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Add one node; its output's name."""
        name = f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def relu(self, tensor: str) -> str:
        return self.node("Relu", tensor)

    def conv(self, tensor: str, before: int, after: int, *, kernel: int, stride: int) -> str:
        number = len(self._nodes)
        scale = np.float32((1 / (before * kernel * kernel)) ** 0.5)
        self._weights.append(_weights(self._random, f"w{number}", (after, before, kernel, kernel), scale))
        self._weights.append(numpy_helper.from_array(np.zeros(after, np.float32), f"b{number}"))
        return self.node(
            *("Conv", tensor, f"w{number}", f"b{number}"),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )

    def finished(self, tensor: str, channels: int) -> onnx.ModelProto:
        self._weights.append(_weights(self._random, "dense", (channels, CLASSES), np.float32(1)))
        self._weights.append(numpy_helper.from_array(np.zeros(CLASSES, np.float32), "bias"))
        self._nodes.append(helper.make_node("Gemm", [tensor, "dense", "bias"], ["output"]))
        return _model("conv", self._nodes, self._weights, row=(3, 224, 224), answer=CLASSES)


def _weights(random: np.random.Generator, name: str, shape: Sequence[int], scale: np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(random.standard_normal(shape, dtype=np.float32) * scale, name)


def _model(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    *,
    row: Sequence[int],
    answer: int,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", *row])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["rows", answer])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[OPSET], ir_version=8)


def _with_names(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """The model with these inputs and outputs renamed, and without the other outputs."""
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    kept = [output for output in model.graph.output if output.name == "output"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


MAKERS: Mapping[str, Callable[[], onnx.ModelProto]] = {"tabular": tabular, "mlp": mlp, "conv": conv}

if __name__ == "__main__":
    made = MAKERS[sys.argv[1]]()
    onnx.checker.check_model(made)
    onnx.save(made, sys.argv[2])
