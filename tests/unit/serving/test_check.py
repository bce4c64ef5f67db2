"""Does `check` say what the runtime would do with a model, or why it would not?"""

import json
import sys
from pathlib import Path

import onnx
import pytest
from loadline_serving.check import check
from loadline_serving.check_report import refused, report
from loadline_serving.errors import StartupFault
from loadline_serving.examination import FileFacts, Findings, Memory, Refusal, Run, Tensor, examine, refusal
from loadline_serving.screen import Screen
from loadline_serving.session import RuntimeOptions, load
from onnx import TensorProto, helper
from support import onnx_models, serving_graphs
from support.alone_process import run_to_end

FOUND = Findings(
    file=FileFacts(
        bytes=98_000_000, ir_version=10, producer="maker 1", opsets={"ai.onnx": 17}, operators={"Add": 2, "MatMul": 1}
    ),
    inputs=(Tensor(name="x", type="FP32", shape=(-1, 4)),),
    outputs=(Tensor(name="y", type="FP32", shape=(-1, 3)), Tensor(name="s", type="seq(tensor(float))", shape=None)),
    batchable=True,
    not_batchable_because=None,
    load_seconds=0.5,
    warm_up_seconds=0.002,
    runs=(Run(rows=1, seconds=0.001), Run(rows=8, seconds=0.002), Run(rows=32, seconds=0.004)),
    memory=Memory(before=75_000_000, loaded=150_000_000, after_runs=160_000_000, peak=200_000_000),
    row_bytes=16,
    seconds_by_threads={},
)


def onnx_file(folder: Path, graph: bytes) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(graph)
    return path


def test_a_model_that_can_be_served_is_described_and_measured(tmp_path: Path) -> None:
    ended = run_to_end(tmp_path, "check", onnx_file(tmp_path, serving_graphs.classifier()), "--json")
    assert ended.code == 0, ended.errors
    told = json.loads(ended.shown)
    assert (told["servable"], told["batchable"]) == (True, True)
    assert told["inputs"] == [{"name": "x", "type": "FP32", "shape": [-1, 4]}]
    assert told["file"]["operators"] == {"MatMul": 1}
    assert [run["rows"] for run in told["runs"]] == [1, 8, 32]
    assert 0 < told["memory"]["before"] < told["memory"]["loaded"] <= told["memory"]["peak"]


@pytest.mark.parametrize(
    ("graph", "reason", "says"),
    [
        (b"not a model", "NotOnnx", "is not an ONNX model, or is cut short"),
        (serving_graphs.classifier()[:-40], "NotOnnx", "Export the model to ONNX again"),
        (serving_graphs.with_unknown_operator("com.acme"), "UnsupportedOperator", "does not have: com.acme.Teleport"),
        (serving_graphs.never_runs(), "WarmupFailed", "the model loads but fails on made-up inputs"),
    ],
    ids=["another format", "truncated", "operator", "fails"],
)
def test_a_model_that_cannot_be_served_gets_cause_and_remedy_and_exit_code_1(
    tmp_path: Path, graph: bytes, reason: str, says: str
) -> None:
    ended = run_to_end(tmp_path, "check", onnx_file(tmp_path, graph))
    words = " ".join(ended.shown.split())
    assert ended.code == 1
    assert f"cannot be served ({reason})." in words
    assert says in words
    assert "remedy" in words


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = onnx.load_from_string(onnx_models.linear(2.0))
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    ended = run_to_end(tmp_path, "check", path, "--json")
    assert (ended.code, json.loads(ended.shown)["reason"]) == (1, "ModelFilesUnavailable")
    assert "weights.bin" in json.loads(ended.shown)["cause"]


def test_every_operator_that_is_missing_is_named_though_the_runtime_names_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Teleport", ["x"], ["a"], domain="com.acme"),
        helper.make_node("Divine", ["a"], ["b"], domain="com.acme"),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)]
    path = onnx_file(tmp_path, helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    with pytest.raises(StartupFault) as caught:
        load(path, RuntimeOptions())
    assert refusal(path, caught.value).missing_operators == ("com.acme.Divine", "com.acme.Teleport")


def test_a_type_that_the_protocol_cannot_carry_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    length = helper.make_tensor_value_info("y", TensorProto.INT64, [])
    graph = helper.make_graph([helper.make_node("SequenceLength", ["x"], ["y"])], "g", [value], [length])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    ended = run_to_end(tmp_path, "check", onnx_file(tmp_path, model.SerializeToString()))
    assert ended.code == 1
    assert "input 'x' of model.onnx is of type seq(tensor(float))" in " ".join(ended.shown.split())


def test_a_fixed_batch_is_timed_as_it_is(tmp_path: Path) -> None:
    found = examine(onnx_file(tmp_path, serving_graphs.one_row_only()), RuntimeOptions())
    assert (found.batchable, found.not_batchable_because) == (False, "input 'x' has a fixed first dimension of 1")
    assert [run.rows for run in found.runs] == [1]


@pytest.mark.parametrize(
    ("signal", "says"),
    [
        ("SEGV", "the runtime crashed on model.onnx (SIGSEGV): out of cheese"),
        ("KILL", "as happens when memory runs out"),
    ],
)
def test_a_model_that_crashes_the_runtime_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], signal: str, says: str
) -> None:
    crash = tmp_path / "python"
    crash.write_text(f"#!/bin/sh\necho out of cheese >&2\nkill -{signal} $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    model = onnx_file(tmp_path, serving_graphs.classifier())
    screen = Screen(sys.stderr)
    assert check(str(model), sha256=None, threads=1, as_json=False, screen=screen, ca_bundle=None) == 1
    assert says in " ".join(capsys.readouterr().out.split())


def test_the_report_reads_as_a_table() -> None:
    assert (
        report("model.onnx", FOUND)
        == """\
model.onnx can be served.

  file       98.0 MB, ONNX IR 10, made by maker 1
  opsets     ai.onnx 17
  operators  3 nodes: Add 2, MatMul 1
  inputs     x  FP32  [batch, 4]
  outputs    y  FP32                [batch, 3]
             s  seq(tensor(float))  cannot be asked for
  batchable  yes: 3 made-up rows have the same answers together as one by one
  load       500.0 ms, then 2.0 ms to warm up
  run        1 row 1.0 ms, 8 rows 2.0 ms, 32 rows 4.0 ms (medians)
  memory     75.0 MB before loading, 150.0 MB loaded, 160.0 MB after the runs, 200.0 MB at most
  suggested  threads: 1
             memory: 320Mi
             rows of several requests run together: 32 at once take 8.0 times less than one by one"""
    )


def test_threads_are_suggested_where_each_doubling_pays() -> None:
    def suggested(times: dict[int, float]) -> str:
        return report("m", FOUND.model_copy(update={"seconds_by_threads": times})).partition("suggested  ")[2]

    assert suggested({1: 0.1, 2: 0.06, 4: 0.04}).startswith("threads: 4 (one row takes 100.0 ms with 1,")
    assert suggested({1: 0.1, 2: 0.09, 4: 0.08}).startswith("threads: 1 ")


def test_a_row_that_the_limit_would_refuse_asks_for_a_higher_one() -> None:
    assert "maxRequestBytes: 48Mi" in report("m", FOUND.model_copy(update={"row_bytes": 12 << 20}))


def test_a_refusal_names_all_it_knows() -> None:
    found = Refusal(reason="UnsupportedOperator", cause="it uses A", missing_operators=("A", "B"))
    assert (
        refused("model.onnx", found)
        == """\
model.onnx cannot be served (UnsupportedOperator).

  cause      it uses A
  missing    operators that the runtime does not have: A, B
  remedy     Export it with standard operators, or with an older opset."""
    )
