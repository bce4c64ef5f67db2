"""How do the cells read as a part of docs/performance.md?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from loadline_results.lines import Line
from loadline_results.result import Result

from loadline_bench import models, peers
from loadline_bench.cells import CONCURRENCIES, Figures
from loadline_bench.models import Model
from loadline_bench.names import COLD_START, MEMORY
from loadline_bench.peers import Encoding, Peer
from loadline_bench.telling import bars
from loadline_bench.telling.bars import Verdict
from loadline_bench.telling.results import Figure, Place, Results, Spread

BEGIN = "<!-- serving: begin, made by `make generate` -->"
END = "<!-- serving: end -->"
NOTHING = "Not measured yet; `make bench-serving` does it."
COMMAND = "make bench-serving"
OTHERS = (MEMORY, COLD_START)
FEW = 200
"""A cell with fewer requests says little about the end of its latencies."""


class PageWithoutPlaceError(ValueError):
    """The page has no place for the benchmark."""

    def __init__(self) -> None:
        super().__init__(f"the page needs the lines {BEGIN} and {END}, around the benchmark of serving")


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A picture, as the page shows it."""

    file: str
    says: str


PLOTS = (
    Plot(file="serving-cpu.svg", says="Processor time of one request, by server and model"),
    Plot(file="serving-load-json.svg", says="Requests a second and p99 by concurrency, JSON"),
    Plot(file="serving-load-tensors.svg", says="Requests a second and p99 by concurrency, binary tensors and gRPC"),
)


def with_benchmark(page: str, lines: Sequence[Line], others: Iterable[Result] = ()) -> str:
    """The page with its part between the two marks made anew."""
    if BEGIN not in page or END not in page:
        raise PageWithoutPlaceError
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    told = "\n\n".join(_sections(lines, list(others))) if lines else NOTHING
    return f"{before}{BEGIN}\n\n{told}\n\n{END}{after}"


def _sections(lines: Sequence[Line], others: Sequence[Result]) -> Iterator[str]:
    results = Results.of(lines)
    yield _made(lines, results)
    yield "\n".join(["#### Bars", "", *_bars(results, others)])
    yield "\n".join(["#### Ahead of every peer in every cell", "", *_ahead(bars.ahead(results))])
    yield "\n\n".join(f"![{plot.says}](plots/{plot.file})" for plot in PLOTS)
    for model in models.MODELS:
        yield "\n".join([f"#### {model.name}: {model.title}", "", *_cells(results, model)])
    yield "\n".join(["#### The servers", "", *_servers(results)])
    if faults := list(_faults(results)):
        yield "\n".join(["#### Cells without figures", "", *faults])


def _made(lines: Sequence[Line], results: Results) -> str:
    commits = ", ".join(f"`{commit[:10]}`" for commit in dict.fromkeys(line.commit for line in lines))
    changes = " with changes that no commit holds" if any(line.uncommitted for line in lines) else ""
    machines = "; ".join(dict.fromkeys(line.machine.told for line in lines))
    times = sorted(line.measured for line in lines)
    shortest = min(figures.asked_seconds for figures in results.cells.values())
    return (
        f"{len(results.cells)} cells of {shortest} s or more in {results.rounds} rounds, "
        f"{times[0]:%Y-%m-%d %H:%M} to {times[-1]:%Y-%m-%d %H:%M} UTC; {commits}{changes}; {machines}. Made by "
        f"`{COMMAND}`. Figures are medians over the rounds with [least-greatest]; ratios are taken within a round. "
        f"~: of fewer than {FEW} requests."
    )


def _bars(results: Results, others: Sequence[Result]) -> list[str]:
    rows = [
        (verdict.bar.claim, f"≥ {verdict.bar.least:g}", _ratio(verdict.spread), _word(verdict))
        for verdict in bars.judge(results)
    ]
    return _table(("bar", "wanted", "measured", ""), [*rows, *_other_bars(others)])


def _other_bars(others: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """The bars of the measurements that have files of their own; their runs hold rows with `figure` and `held`."""
    made = {result.name for result in others}
    yield from (
        (f"{_spoken(name)}: `make bench-{name}`", "", "-", "not measured") for name in OTHERS if name not in made
    )
    for result in others:
        for run in result.runs:
            for row in run.get("rows", []):
                yield (
                    f"{_spoken(result.name)}: {row['of']}",
                    str(row["wanted"]),
                    str(row["figure"]),
                    "held" if row["held"] else "**missed**",
                )


def _spoken(name: str) -> str:
    return name.replace("-", " ").capitalize()


def _ahead(verdicts: Sequence[Verdict]) -> list[str]:
    known = [verdict for verdict in verdicts if verdict.spread is not None]
    held = sum(verdict.word == "held" for verdict in known)
    said = [f"A request costs ours less in {held} of {len(known)} cells, like for like ({len(verdicts)} are wanted)."]
    close = [verdict for verdict in known if not verdict.asserted]
    if close:
        rows = [(verdict.bar.claim, _ratio(verdict.spread), _word(verdict)) for verdict in close]
        told = _table(("cell", "ratio", ""), rows)
        said += ["", f"Ratios under {bars.NOISE:g}, of which nothing is asserted:", "", *told]
    return said


def _cells(results: Results, model: Model) -> list[str]:
    columns = ["server", "encoding"]
    columns += [f"CPU µs a request, {number}" for number in CONCURRENCIES]
    columns += [f"÷ ours, {bars.AT}", f"requests/s, {' / '.join(map(str, CONCURRENCIES))}"]
    columns += [f"p50 / p99 ms, {number}" for number in CONCURRENCIES]
    columns += ["MiB", "cold start s"]
    rows = [
        _row(results, model, peer, encoding)
        for peer in peers.PEERS
        for encoding in peer.encodings
        if any(place[:3] == (model.name, peer.name, encoding) for place in results.places())
    ]
    return _table(columns, rows)


def _row(results: Results, model: Model, peer: Peer, encoding: Encoding) -> list[str]:
    if encoding is Encoding.NONE:
        alone = results.spread(Place(model.name, peer.name, encoding, 1), "cpu_us")
        return [peer.title, "", _time(alone)]
    places = [Place(model.name, peer.name, encoding, number) for number in CONCURRENCIES]
    at = places[CONCURRENCIES.index(bars.AT)]
    ratio = results.ratio(at, at._replace(peer=peers.LOADLINE.name), "cpu_us")
    return [
        f"**{peer.title}**" if peer is peers.LOADLINE else peer.title,
        encoding.told,
        *(_time(results.spread(place, "cpu_us")) for place in places),
        _ratio(ratio) if peer is not peers.LOADLINE else "",
        " / ".join(_median(results, place, "rate", "{:.0f}") for place in places),
        *(f"{_median(results, place, 'p50_ms', '{:.2f}')} / {_tail(results, place)}" for place in places),
        _median(results, at, "resident_mib", "{:.0f}"),
        _median(results, at, "cold_start_seconds", "{:.1f}"),
    ]


def _servers(results: Results) -> list[str]:
    versions = {figures.peer: figures.version for figures in results.cells.values()}
    rows = [
        (peer.title, f"{peer.distribution} {versions[peer.name]}".strip(), peer.note)
        for peer in peers.PEERS
        if peer.name in versions
    ]
    return _table(("server", "version", "how it runs"), rows)


def _faults(results: Results) -> Iterator[str]:
    for place, fault in results.faults().items():
        words = fault.replace("|", "\\|").replace("<", "&lt;")
        yield f"- {peers.BY_NAME[place.peer].title}, {place.encoding.told}, {place.model}, {place.concurrency}: {words}"


def _word(verdict: Verdict) -> str:
    word = "**missed**" if verdict.word == "missed" else verdict.word
    small = verdict.bar.figure == "cpu_us" and verdict.bar.above.peer != peers.RAW.name
    return f"{word}, not asserted" if small and verdict.spread is not None and not verdict.asserted else word


def _ratio(spread: Spread | None) -> str:
    return f"{spread.median:.2f} [{spread.low:.2f}-{spread.high:.2f}]" if spread else "-"


def _time(spread: Spread | None) -> str:
    return f"{_short(spread.median)} [{_short(spread.low)}-{_short(spread.high)}]" if spread else "-"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _median(results: Results, place: Place, figure: Figure, form: str) -> str:
    spread = results.spread(place, figure)
    return form.format(spread.median) if spread else "-"


def _tail(results: Results, place: Place) -> str:
    few = any(_few(figures) for cell, figures in results.cells.items() if cell[1:] == place and not figures.fault)
    return ("~" if few else "") + _median(results, place, "p99_ms", "{:.2f}")


def _few(figures: Figures) -> bool:
    return figures.requests < FEW


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    filled = ([*row, *[""] * (len(columns) - len(row))] for row in rows)
    return [_line(columns), _line(["---"] * len(columns)), *(_line(row) for row in filled)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
