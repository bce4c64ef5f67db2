"""What rounds together say, and which bars that clears."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from loadline_bench.cells import Figures
from loadline_bench.peers import Encoding
from loadline_bench.telling import bars
from loadline_bench.telling.results import Place, Results, Spread
from loadline_results.lines import Line
from loadline_results.machine import Machine

MACHINE = Machine(processor="some", cores=2, memory_gib=24, system="Linux 6")


def line(number: int, peer: str, cpu_us: float, *, encoding: Encoding = Encoding.JSON, fault: str = "") -> Line:
    figures = Figures(
        peer=peer,
        version="1",
        model="mlp",
        encoding=encoding,
        concurrency=8,
        asked_seconds=8,
        fault=fault,
        requests=1000,
        seconds=8,
        cpu_us=cpu_us,
    )
    return Line(
        round=number,
        measured=datetime(2026, 1, 2, tzinfo=UTC),
        commit="0123456789abcdef",
        uncommitted=False,
        paths=("serving",),
        machine=MACHINE,
        figures=figures.model_dump(mode="json"),
    )


def place(peer: str, encoding: Encoding = Encoding.JSON) -> Place:
    return Place("mlp", peer, encoding, 8)


def test_a_ratio_is_taken_within_a_round_and_then_the_median() -> None:
    results = Results.of(
        [
            *(line(1, "fastapi", 300), line(1, "loadline", 100)),
            *(line(2, "fastapi", 800), line(2, "loadline", 200)),
            *(line(3, "fastapi", 100), line(3, "loadline", 50)),
        ]
    )
    assert results.ratio(place("fastapi"), place("loadline"), "cpu_us") == Spread(median=3, low=2, high=4, rounds=3)


def test_a_round_that_lacks_one_of_the_two_is_left_out_of_their_ratio() -> None:
    results = Results.of([line(1, "fastapi", 300), line(1, "loadline", 100), line(2, "fastapi", 900)])
    assert results.ratio(place("fastapi"), place("loadline"), "cpu_us") == Spread(median=3, low=3, high=3, rounds=1)


def test_a_cell_with_a_fault_has_no_figure() -> None:
    results = Results.of([line(1, "fastapi", 300, fault="wrong answer")])
    assert results.spread(place("fastapi"), "cpu_us") is None
    assert results.faults() == {place("fastapi"): "wrong answer"}


def test_a_cell_that_was_measured_again_counts_once() -> None:
    results = Results.of([line(1, "fastapi", 300, fault="it ended"), line(1, "fastapi", 200)])
    assert results.spread(place("fastapi"), "cpu_us") == Spread(median=200, low=200, high=200, rounds=1)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=9))
def test_a_median_lies_between_the_least_and_the_greatest(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread is not None
    assert spread.low <= spread.median <= spread.high


def verdict_on_fastapi(ours: float, theirs: float) -> bars.Verdict:
    results = Results.of([line(1, "fastapi", theirs), line(1, "loadline", ours)])
    return next(each for each in bars.judge(results) if each.bar.above == place("fastapi"))


def test_a_bar_is_held_from_its_least_ratio_on() -> None:
    assert verdict_on_fastapi(100, 220).word == "held"
    assert verdict_on_fastapi(100, 219).word == "missed"


def test_a_ratio_within_the_noise_is_not_asserted() -> None:
    assert not verdict_on_fastapi(100, 129).asserted
    assert verdict_on_fastapi(100, 131).asserted


def test_a_bar_that_was_not_measured_is_neither_held_nor_missed() -> None:
    assert {verdict.word for verdict in bars.judge(Results.of([]))} == {"not measured"}


def test_grpc_may_cost_a_tenth_more_than_the_bare_server() -> None:
    grpc = Encoding.GRPC
    results = Results.of([line(1, "grpc", 100, encoding=grpc), line(1, "loadline", 110, encoding=grpc)])
    verdict = next(each for each in bars.judge(results) if each.bar.above == place("grpc", grpc))
    assert verdict.word == "held"


def test_every_peer_is_compared_in_every_encoding_that_it_speaks() -> None:
    compared = {(verdict.bar.above.peer, verdict.bar.above.encoding) for verdict in bars.ahead(Results.of([]))}
    assert ("pytriton", Encoding.GRPC) in compared
    assert ("kserve", Encoding.BINARY) in compared
    assert not {peer for peer, _ in compared} & {"loadline", "loadline-unbatched", "raw"}
