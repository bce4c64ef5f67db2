"""How the results read as one page: docs/performance.md."""

from collections.abc import Iterable, Sequence
from typing import Any

from loadline_results.result import Result

BEGIN = "<!-- results: begin, made by `make generate` -->"
END = "<!-- results: end -->"


class PageWithoutPlaceError(ValueError):
    """The page has no place for the results."""

    def __init__(self) -> None:
        super().__init__(f"the page needs the lines {BEGIN} and {END}, around the results")


def with_results(page: str, results: Iterable[Result]) -> str:
    """The page with its part between the two marks made anew."""
    if BEGIN not in page or END not in page:
        raise PageWithoutPlaceError
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    sections = "\n\n".join(_section(result) for result in results)
    return f"{before}{BEGIN}\n\n{sections}\n\n{END}{after}"


def _section(result: Result) -> str:
    code = f"`{result.commit[:10]}`" + (" with changes that no commit holds" if result.uncommitted else "")
    title = f"### {result.name.replace('-', ' ').capitalize()}"
    made = (
        f"{result.form.capitalize()} form, {len(result.runs)} of {result.wanted_runs} runs; {code};"
        f" {result.started:%Y-%m-%d %H:%M} UTC; {result.machine.told}. Made by `{result.command}`."
    )
    return "\n".join([title, "", result.claim, "", made, "", *_rows(result.runs)])


def _rows(runs: Sequence[dict[str, Any]]) -> list[str]:
    """A table whose rows are the runs, or, where a run has rows of its own, those."""
    rows = [row for run in runs for row in run.get("rows", [run])]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = [_line(columns), _line(["---"] * len(columns))]
    return [*head, *(_line([_cell(row.get(column, "")) for column in columns]) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_cell(inner)}" for key, inner in value.items())
    return str(value).replace("|", "\\|")
