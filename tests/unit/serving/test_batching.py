"""Is a model batched only where nobody's answer depends on whose rows ran beside it?"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadline_serving.batching import disproof, is_batchable, proves_batchable, unbatchable_because
from loadline_serving.made_up import varied_inputs
from loadline_serving.session import OnnxModel, RuntimeOptions, load
from loadline_serving.signature import Signature
from support import serving_graphs
from support.signatures import signature

FIRST_DIMENSIONS = st.lists(st.sampled_from([-1, 1, 8, None]), min_size=1, max_size=3)


def loaded(folder: Path, data: bytes) -> OnnxModel:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return load(path, RuntimeOptions())


@given(FIRST_DIMENSIONS, FIRST_DIMENSIONS)
def test_every_input_and_output_needs_a_first_dimension_of_any_length(
    inputs: list[int | None], outputs: list[int | None]
) -> None:
    made = signature(
        {f"x{i}": ("FP32", () if first is None else (first, 4)) for i, first in enumerate(inputs)},
        {f"y{i}": ("FP32", () if first is None else (first,)) for i, first in enumerate(outputs)},
    )
    assert is_batchable(made) is all(first == -1 for first in inputs + outputs)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (signature({"x": ("FP32", (8, 4))}, {"y": ("FP32", (-1,))}), "input 'x' has a fixed first dimension of 8"),
        (signature({"x": ("FP32", (-1,))}, {"y": ("FP32", ())}), "output 'y' is a single value"),
        (signature({}, {"y": ("FP32", (-1,))}), "the model has no inputs"),
        (
            Signature(inputs={}, outputs={}, untransferable={"parts": "seq(tensor(float))"}, all_outputs=("parts",)),
            "output 'parts' is of ONNX type",
        ),
    ],
)
def test_a_signature_that_forbids_batching_says_why(made: Signature, why: str) -> None:
    assert why in str(unbatchable_because(made))


@pytest.mark.parametrize(
    "graph",
    [
        serving_graphs.classifier(),
        serving_graphs.with_zipmap(),
        serving_graphs.two_in_two_out(),
        serving_graphs.raises_on_large_index(),
        serving_graphs.picture(5),
        *(serving_graphs.identity(datatype) for datatype in serving_graphs.ELEMENTS),
    ],
)
def test_a_model_that_answers_row_by_row_is_proved_batchable(tmp_path: Path, graph: bytes) -> None:
    assert proves_batchable(loaded(tmp_path, graph))


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (serving_graphs.across_rows("Softmax", axis=0), "other values for a row alone"),
        (serving_graphs.quantised_on_the_fly(), "other values for a row alone"),
        (serving_graphs.sum_of_rows(), "has shape"),
        (serving_graphs.never_runs(), "fails on 3 made-up rows"),
    ],
    ids=["softmax across rows", "a scale of the whole request", "the sum of all rows", "fails on every row"],
)
def test_a_model_whose_signature_promises_too_much_is_found_out(tmp_path: Path, graph: bytes, why: str) -> None:
    model = loaded(tmp_path, graph)
    assert is_batchable(model.signature)
    assert why in str(disproof(model))
    assert not proves_batchable(model)


def test_a_model_of_a_fixed_batch_is_not_batchable(tmp_path: Path) -> None:
    assert not proves_batchable(loaded(tmp_path, serving_graphs.one_row_only()))


def test_made_up_rows_differ_and_are_the_same_each_time() -> None:
    made = signature({"x": ("FP32", (-1, 4)), "words": ("BYTES", (-1, 8))}, {})
    first, again = (next(iter(varied_inputs(made, rows=3))) for _ in range(2))
    for name, rows in first.items():
        np.testing.assert_array_equal(rows, again[name])
        assert len({tuple(row) for row in rows}) == 3
