"""How long a cell lasts, which version is told, and what counts as flat."""

import pytest
from loadline_bench.bodies import body
from loadline_bench.cells import Cell
from loadline_bench.cold_start import row as cold_row
from loadline_bench.load import Load
from loadline_bench.malformed import kinds
from loadline_bench.measure import lasting, too_many_failed
from loadline_bench.memory import refusals
from loadline_bench.memory import row as memory_row
from loadline_bench.models import MODELS
from loadline_bench.peers import Dialect, Encoding
from loadline_bench.places import version

CELL = Cell(1, "mlp", "loadline", Encoding.JSON, 8)
MIB = 2**20


def seen(requests: int, failed: int = 0) -> Load:
    return Load(requests=requests, seconds=1, p50_ms=1, p99_ms=1, failed=failed)


@pytest.mark.parametrize(
    ("connections", "requests_a_second", "seconds"),
    [(8, 10_000, 8), (64, 100, 13), (64, 10, 32), (8, 0, 32)],
    ids=["a fast server", "a slow one", "a very slow one", "one that answered nothing"],
)
def test_a_cell_lasts_longer_where_few_requests_are_answered(
    connections: int, requests_a_second: int, seconds: int
) -> None:
    assert lasting(8, connections, seen(requests_a_second)) == seconds


def test_failures_are_forgiven_only_as_far_as_the_end_of_a_load_may_cut_them() -> None:
    assert not too_many_failed(seen(1000, failed=8), CELL)
    assert too_many_failed(seen(1000, failed=9), CELL)


def test_the_version_is_the_one_that_the_requirement_file_pins() -> None:
    text = "mlserver==1.7.1 \\\n    --hash=sha256:aa\nmlserver-mlflow==9 \\\n    --hash=sha256:bb\n"
    assert version(text, "mlserver") == "1.7.1"


@pytest.mark.parametrize(("held", "flat"), [((100, 102, 99), True), ((100, 103), False), ((100, 97), False)])
def test_memory_is_flat_within_two_percent_both_ways(held: tuple[int, ...], *, flat: bool) -> None:
    assert memory_row("x", [value * MIB for value in held])["held"] is flat


def test_a_bad_request_that_was_not_refused_is_named() -> None:
    said = refusals({"NaN": {"400": 200}, "empty": {"400": 199, "cut": 1}})
    assert (said["held"], said["figure"]) == (False, "1 of 2; empty: 400, cut")


def test_every_kind_of_bad_request_is_another_one_and_none_is_the_good_one() -> None:
    rows = MODELS[0].rows(seed=1)
    sent = [(kind.body.path, kind.body.data, tuple(kind.body.headers.items())) for kind in kinds(rows)]
    good = [body(encoding, Dialect(), rows) for encoding in (Encoding.JSON, Encoding.BINARY, Encoding.GRPC)]
    assert len(set(sent)) == len(sent)
    assert not set(sent) & {(each.path, each.data, tuple(each.headers.items())) for each in good}


def test_a_cold_start_is_judged_without_the_reading_of_the_model() -> None:
    assert cold_row("mlp", [(2.0, 0.6), (1.9, 0.5), (9.0, 0.5)])["held"] is True
    assert cold_row("mlp", [(2.2, 0.5)])["held"] is False
