"""How results read as a page."""

from datetime import UTC, datetime

import pytest
from loadline_results.machine import Machine
from loadline_results.page import BEGIN, END, PageWithoutPlaceError, with_results
from loadline_results.result import Result

PAGE = f"Before\n{BEGIN}\nold\n{END}\nAfter\n"


def result(**runs: object) -> Result:
    return Result(
        name="zero-loss",
        claim="Nothing fails.",
        form="long",
        wanted_runs=1,
        command="make test-long",
        commit="0123456789abcdef",
        uncommitted=False,
        paths=("operators",),
        machine=Machine(processor="some", cores=2, memory_gib=24, system="Linux 6"),
        started=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        runs=(runs,),
    )


def test_what_people_wrote_around_the_results_stays() -> None:
    page = with_results(PAGE, [result(failed=0)])
    assert page.startswith("Before\n")
    assert page.endswith("After\n")


def test_the_old_results_go() -> None:
    assert "old" not in with_results(PAGE, [result(failed=0)])


def test_a_result_names_its_machine_date_commit_and_command() -> None:
    page = with_results(PAGE, [result(failed=0)])
    for said in ("some, 2 cores, 24 GiB", "2026-01-02 03:04 UTC", "`0123456789`", "`make test-long`"):
        assert said in page


def test_rows_of_a_run_become_rows_of_its_table() -> None:
    page = with_results(PAGE, [result(rows=[{"routes": 1, "p99": 0.1}, {"routes": 100, "p99": 0.2}])])
    assert "| routes | p99 |" in page
    assert "| 100 | 0.2 |" in page


def test_a_page_twice_made_is_the_same() -> None:
    once = with_results(PAGE, [result(failed=0)])
    assert with_results(once, [result(failed=0)]) == once


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(PageWithoutPlaceError):
        with_results("no marks", [])
