"""What does the command line ask for?"""

import argparse
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadline_results import lines
from loadline_results.lines import Line
from loadline_results.machine import Machine
from loadline_results.repository import Repository
from loadline_results.result import FOLDER

from loadline_bench.cells import CONCURRENCIES, Cell, Figures, Selection, left, starts
from loadline_bench.measure import Bench
from loadline_bench.models import BY_NAME as MODELS
from loadline_bench.names import BENCHMARK, PATHS
from loadline_bench.peers import BY_NAME as PEERS
from loadline_bench.peers import Encoding
from loadline_bench.places import Places

FULL_SECONDS = 8
FULL_ROUNDS = 5


def measure(arguments: Sequence[str]) -> int:
    """Measure what is left, cell by cell."""
    chosen = _parse(arguments)
    places = Places(root=Path.cwd(), cache=chosen.cache)
    places.models.make(places.maker, chosen.train_python)
    repository = Repository(places.root)
    file = chosen.out or _file(chosen.seconds, places, repository)
    begin = _Header(repository)
    kept = [] if begin.uncommitted else lines.of_this_code(lines.read(file), repository)
    lines.keep(file, kept)
    order = left(_selection(chosen), _done(kept, chosen.seconds))
    print(f"{len(order)} cells of {chosen.seconds} s or more are left; they go to {file}", flush=True)
    bench = Bench(places=places, seconds=chosen.seconds, server_core=chosen.server_core, load_core=chosen.load_core)
    faults = 0
    for group in starts(order):
        for cell, figures in zip(group, bench.measure(group), strict=True):
            lines.append(file, begin.line(cell.round, figures))
            print(f"round {cell.round}  {told(figures)}", flush=True)
            faults += bool(figures.fault)
    return 1 if faults else 0


def _file(seconds: int, places: Places, repository: Repository) -> Path:
    """Where the cells go: short ones are for a look, and stay out of the repository."""
    if seconds < FULL_SECONDS:
        return places.cache / f"{BENCHMARK}.jsonl"
    if repository.has_uncommitted(PATHS):
        sys.exit("the code to measure has changes that no commit holds; commit them, or name another file with --out")
    return places.root / FOLDER / f"{BENCHMARK}.jsonl"


def _done(kept: Iterable[Line], seconds: int) -> set[Cell]:
    """The cells that need not be measured again: they have figures, and lasted long enough."""
    seen = [(line.round, Figures.model_validate(line.figures)) for line in kept]
    return {figures.cell(number) for number, figures in seen if not figures.fault and figures.asked_seconds >= seconds}


def told(figures: Figures) -> str:
    """One cell as a line for a person who watches."""
    name = f"{figures.peer:<18} {figures.model:<8}{figures.encoding.value:<7}c={figures.concurrency:<3}"
    if figures.fault:
        return f"{name} FAULT {figures.fault}"
    return (
        f"{name}{figures.cpu_us:>10.1f} µs {figures.rate:>9.0f}/s  p50 {figures.p50_ms:>8.2f} ms  "
        f"p99 {figures.p99_ms:>8.2f} ms  {figures.resident_mib:>6.0f} MiB in {figures.processes}  "
        f"cold {figures.cold_start_seconds:.2f} s  core {figures.core_share:.2f}"
    )


class _Header:
    """What every line of one run says."""

    def __init__(self, repository: Repository) -> None:
        self._commit = repository.head()
        self._machine = Machine.this()
        self.uncommitted = repository.has_uncommitted(PATHS)

    def line(self, number: int, figures: Figures) -> Line:
        return Line(
            round=number,
            measured=datetime.now(UTC).replace(microsecond=0),
            commit=self._commit,
            uncommitted=self.uncommitted,
            paths=PATHS,
            machine=self._machine,
            figures=figures.model_dump(mode="json"),
        )


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadline_bench measure", description=measure.__doc__)
    parser.add_argument("--peers", default=",".join(PEERS), help="which servers (default: all)")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--protocols", default="json,binary,grpc")
    parser.add_argument("--concurrency", default=",".join(map(str, CONCURRENCIES)))
    parser.add_argument("--seconds", type=int, default=FULL_SECONDS, help="of load in a cell; fewer are not published")
    parser.add_argument("--rounds", type=int, default=FULL_ROUNDS)
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--train-python", type=Path, default=Path(".venv-train/bin/python"))
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--out", type=Path, help="another file for the cells")
    return parser.parse_args(arguments)


def default_cache() -> Path:
    """Where environments, models and logs lie."""
    return Path(os.environ.get("LOADLINE_CACHE", Path.home() / ".cache/loadline")) / "bench"


def _selection(chosen: argparse.Namespace) -> Selection:
    return Selection(
        peers=tuple(PEERS[name] for name in _words(chosen.peers, PEERS)),
        models=tuple(MODELS[name] for name in _words(chosen.models, MODELS)),
        encodings=tuple(Encoding(name) for name in _words(chosen.protocols, ("json", "binary", "grpc"))),
        concurrencies=tuple(int(number) for number in chosen.concurrency.split(",")),
        rounds=chosen.rounds,
    )


def _words(text: str, known: Collection[str]) -> list[str]:
    words = text.split(",")
    if unknown := [word for word in words if word not in known]:
        sys.exit(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return words
