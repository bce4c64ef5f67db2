"""How the benchmark reads, and that making it twice changes nothing."""

import os
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from loadline_bench import models, peers
from loadline_bench.cells import Figures, Selection, cells
from loadline_bench.peers import Encoding
from loadline_bench.telling.page import BEGIN, END, NOTHING, PLOTS, PageWithoutPlaceError, with_benchmark
from loadline_bench.telling.plots import draw
from loadline_bench.telling.results import Results
from loadline_results.lines import Line
from loadline_results.machine import Machine
from loadline_results.result import Result

PAGE = f"Before\n{BEGIN}\nold\n{END}\nAfter\n"
GOLDEN = Path(__file__).resolve().parents[2] / "data/output/serving-benchmark.md"
MACHINE = Machine(processor="some", cores=2, memory_gib=24, system="Linux 6")
COST = {"raw": 50.0, "loadline": 100, "loadline-unbatched": 130, "fastapi": 300, "grpc": 120}
SELECTION = Selection(
    peers=(peers.RAW, *peers.OURS, peers.FASTAPI, peers.GRPC, peers.MLFLOW),
    models=models.MODELS[:2],
    encodings=(Encoding.JSON, Encoding.BINARY, Encoding.GRPC),
    concurrencies=(1, 8, 64),
    rounds=2,
)


def lines() -> list[Line]:
    made = []
    for cell in cells(SELECTION):
        cpu_us = COST.get(cell.peer, 1000) * cell.round
        rate = 1e6 / cpu_us
        figures = Figures(
            peer=cell.peer,
            version="1.2",
            model=cell.model,
            encoding=cell.encoding,
            concurrency=cell.concurrency,
            asked_seconds=8,
            fault="it ended: no answer" if cell.peer == "mlflow" else "",
            requests=int(rate * 8),
            seconds=8,
            cpu_us=cpu_us,
            core_share=1,
            p50_ms=cell.concurrency / rate * 1000,
            p99_ms=cell.concurrency / rate * 2000,
            resident_mib=100,
            proportional_mib=90,
            processes=1,
            cold_start_seconds=1.2,
        )
        made.append(
            Line(
                round=cell.round,
                measured=datetime(2026, 1, cell.round, 3, 4, tzinfo=UTC),
                commit="0123456789abcdef",
                uncommitted=False,
                paths=("serving",),
                machine=MACHINE,
                figures=figures.model_dump(mode="json"),
            )
        )
    return made


def memory() -> Result:
    return Result(
        name="serving-memory",
        claim="Memory stays.",
        form="long",
        wanted_runs=1,
        command="make bench-serving-memory",
        commit="0123456789abcdef",
        uncommitted=False,
        paths=("serving",),
        machine=MACHINE,
        started=datetime(2026, 1, 2, tzinfo=UTC),
        runs=({"rows": [{"of": "1,000,000 requests", "wanted": "± 2 %", "figure": "+3 %", "held": False}]},),
    )


def test_the_page_is_the_golden_one() -> None:
    text = with_benchmark(PAGE, lines(), [memory()])
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)

    assert GOLDEN.read_text() == text


def test_a_page_twice_made_is_the_same() -> None:
    once = with_benchmark(PAGE, lines())
    assert with_benchmark(once, lines()) == once


def test_a_page_without_figures_says_how_to_get_them() -> None:
    page = with_benchmark(PAGE, [])
    assert NOTHING in page
    assert "old" not in page


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(PageWithoutPlaceError):
        with_benchmark("no marks", [])


def test_every_picture_that_the_page_shows_is_drawn_and_is_svg() -> None:
    drawn = draw(Results.of(lines()))
    assert set(drawn) == {plot.file for plot in PLOTS}
    for picture in drawn.values():
        assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own


def test_a_server_stands_in_a_picture_by_its_name() -> None:
    for picture in draw(Results.of(lines())).values():
        assert "Loadline" in picture
