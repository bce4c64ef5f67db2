"""Does what is short run in the event loop, and what is long beside it?"""

from pathlib import Path

import pytest
from loadline_serving.pace import INLINE_BATCH_SECONDS, Pace, pace
from loadline_serving.session import RuntimeOptions, load
from loadline_serving.warm_up import find_pace
from support import serving_graphs


@pytest.mark.parametrize(
    ("one", "several", "most", "expected"),
    [
        (10e-6, 20e-6, 64, Pace(inline=True, rows=64)),
        (10e-6, 20e-6, 1, Pace(inline=True, rows=1)),
        (10e-6, None, 64, Pace(inline=True, rows=1)),
        (0.001, 0.008, 64, Pace(inline=True, rows=10)),
        (0.002, 0.016, 64, Pace(inline=True, rows=5)),
        (0.003, 0.003, 64, Pace(inline=False, rows=64)),
        (1.0, None, 64, Pace(inline=False, rows=1)),
        (10e-6, 5e-6, 64, Pace(inline=True, rows=64)),
    ],
)
def test_the_pace_follows_what_runs_take(one: float, several: float | None, most: int, expected: Pace) -> None:
    assert pace(one, several, most) == expected


@pytest.mark.parametrize("one", [1e-6, 1e-4, 1e-3, 2e-3])
@pytest.mark.parametrize("factor", [1, 2, 8, 20])
def test_no_batch_in_the_event_loop_is_expected_to_take_longer_than_is_good(one: float, factor: float) -> None:
    found = pace(one, one * factor, 4096)
    row = one * (factor - 1) / 7
    assert one + row * (found.rows - 1) <= INLINE_BATCH_SECONDS * 1.001 or found.rows == 1


def test_a_small_model_whose_rows_are_independent_runs_in_batches_in_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(serving_graphs.classifier())
    found = find_pace(load(path, RuntimeOptions()), 64)
    assert found.rows > 1
    assert find_pace(load(path, RuntimeOptions()), 1).rows == 1
