"""Is what an ONNX file says of itself read as ONNX's own package reads it?"""

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadline_serving.outline import NotProtobufError, Operator, missing_files, parse_outline, read_outline
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models, serving_graphs

GRAPHS = {
    "one node": serving_graphs.classifier(),
    "another domain": serving_graphs.with_zipmap(),
    "a graph within a node": onnx_models.slow(2.0, turns=3, width=8),
    "a chain": serving_graphs.quantised_on_the_fly(),
}


def with_external_weights(folder: Path) -> Path:
    """A model whose weights lie in `weights.bin` beside it."""
    path = folder / "model.onnx"
    model = onnx.load_from_string(onnx_models.linear(2.0))
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def with_function() -> bytes:
    """A model that defines an operator of its own."""
    body = helper.make_function(
        "com.acme",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="com.acme")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, functions=[body])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_versions_and_operators_are_those_that_onnx_finds(graph: bytes) -> None:
    outline, model = parse_outline(graph), onnx.load_from_string(graph)
    assert outline.ir_version == model.ir_version
    assert outline.opsets == {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    assert dict(outline.operators) == _counted(model.graph)
    assert outline.external == frozenset()


def test_operators_that_a_file_defines_are_told_apart() -> None:
    outline = parse_outline(with_function())
    assert outline.functions == {Operator("com.acme", "Twice")}
    assert dict(outline.operators) == {Operator("com.acme", "Twice"): 1, Operator("ai.onnx", "Add"): 1}


def test_the_producer_stands_with_its_version() -> None:
    model = onnx.load_from_string(serving_graphs.classifier())
    model.producer_name, model.producer_version = "maker", "2.7"
    assert parse_outline(model.SerializeToString()).producer == "maker 2.7"


def test_external_files_are_named_and_missed(tmp_path: Path) -> None:
    path = with_external_weights(tmp_path)
    outline = read_outline(path)
    assert outline.external == {"weights.bin"}
    assert missing_files(path, outline) == []
    (tmp_path / "weights.bin").unlink()
    assert missing_files(path, outline) == ["weights.bin"]


def test_weights_in_a_constant_node_may_be_external_too() -> None:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "constants.bin"
    graph = helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "g", [], [])
    assert parse_outline(helper.make_model(graph).SerializeToString()).external == {"constants.bin"}


@pytest.mark.parametrize("data", [b"", b"not a model", serving_graphs.classifier()[:-40], b"\x08\x09"])
def test_what_is_no_whole_model_is_refused(data: bytes) -> None:
    with pytest.raises(NotProtobufError):
        parse_outline(data)


@pytest.mark.parametrize(("data", "why"), [(b"", "empty"), (serving_graphs.classifier()[:-40], "cut short")])
def test_a_file_that_is_no_whole_model_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(NotProtobufError, match=why):
        read_outline(path)


@given(st.data())
def test_a_model_with_damaged_bytes_is_read_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(GRAPHS["a graph within a node"])
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NotProtobufError):
        parse_outline(bytes(damaged))


def _counted(graph: onnx.GraphProto) -> dict[Operator, int]:
    found: dict[Operator, int] = {}
    for node in graph.node:
        operator = Operator(node.domain or "ai.onnx", node.op_type)
        found[operator] = found.get(operator, 0) + 1
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else []:
                for key, count in _counted(inner).items():
                    found[key] = found.get(key, 0) + count
    return found
