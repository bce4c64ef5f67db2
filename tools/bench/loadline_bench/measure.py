"""What does one start of a server show, cell by cell?"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from loadline_bench import usage
from loadline_bench.asking import NoAnswerError, Question, WrongAnswerError, ask, question, wait_for_answer
from loadline_bench.cells import Cell, Figures
from loadline_bench.load import Load, LoadFailedError
from loadline_bench.models import BY_NAME as MODELS
from loadline_bench.models import Model
from loadline_bench.peers import BY_NAME as PEERS
from loadline_bench.peers import RAW
from loadline_bench.places import Places, version
from loadline_bench.server import NotInstalledError, Server, environment, serving
from loadline_bench.traffic import put_under_load

WARM_UP_SECONDS = 1
WARM_UP_CONNECTIONS = 8
REQUESTS_PER_CONNECTION = 20
LONGEST = 4
"""A cell lasts longer than asked, but so many times at most, until each connection has had its requests."""
BEFORE, AFTER = 1, 2
"""Seeds of the rows that are asked before and after a load: an answer that is kept would show."""
_FAULTS = (NoAnswerError, WrongAnswerError, LoadFailedError, NotInstalledError, subprocess.SubprocessError)


@dataclass(frozen=True, kw_only=True)
class Raw:
    """The model alone, in a loop."""

    runs: int
    seconds: float
    cpu_us: float
    load_seconds: float
    """For reading and optimising it."""


def raw(places: Places, model: Model, *, seconds: float, core: int) -> Raw:
    """Run the model without a server."""
    python = places.python(RAW)
    place = {"bin": str(python.parent), "model_file": str(places.models.file(model))}
    ports = dict.fromkeys(("http_port", "grpc_port", "metrics_port"), "0")
    words = [word.format(python=python, scripts=places.scripts) for word in RAW.command]
    done = subprocess.run(
        ["taskset", "-c", str(core), *words, str(seconds)],
        env=environment(RAW, place | ports),
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    return Raw(**json.loads(done.stdout))


@dataclass(frozen=True, kw_only=True)
class Bench:
    """How it is measured: where things lie, for how long, on which cores."""

    places: Places
    seconds: int
    server_core: int
    load_core: int

    def measure(self, cells: Sequence[Cell]) -> Iterator[Figures]:
        """The figures of cells that share one start; where it fails, of each the reason."""
        left = list(cells)
        try:
            for figures in self._measured(cells):
                left.pop(0)
                yield figures
        except _FAULTS as error:
            for cell in left:
                yield self._blank(cell).model_copy(update={"fault": " ".join(str(error).split())[:600]})

    def _measured(self, cells: Sequence[Cell]) -> Iterator[Figures]:
        peer, model = PEERS[cells[0].peer], MODELS[cells[0].model]
        if peer is RAW:
            yield self._raw(cells[0])
            return
        with serving(peer, model, self.places, core=self.server_core) as server:
            cold = 0.0
            for encoding in dict.fromkeys(cell.encoding for cell in cells):
                before, after = (question(peer, encoding, model, self.places, seed) for seed in (BEFORE, AFTER))
                waited = wait_for_answer(server, before)
                cold = cold or waited
                warm = self._load(server, before, WARM_UP_CONNECTIONS, WARM_UP_SECONDS)
                for cell in (cell for cell in cells if cell.encoding is encoding):
                    figures = self._cell(server, cell, before, after, warm)
                    yield figures.model_copy(update={"cold_start_seconds": round(cold, 3)})

    def _cell(self, server: Server, cell: Cell, before: Question, after: Question, warm: Load) -> Figures:
        ask(server, before)
        times = usage.thread_times(server.pid)
        seen = self._load(server, before, cell.concurrency, lasting(self.seconds, cell.concurrency, warm))
        nanoseconds = usage.spent(times, usage.thread_times(server.pid))
        ask(server, after)
        held = usage.memory(server.pid)
        return self._blank(cell).model_copy(
            update={
                "requests": seen.requests,
                "seconds": round(seen.seconds, 3),
                "cpu_us": round(nanoseconds / 1000 / max(1, seen.requests), 2),
                "core_share": round(nanoseconds / 1e9 / seen.seconds, 3),
                "p50_ms": round(seen.p50_ms, 3),
                "p99_ms": round(seen.p99_ms, 3),
                "failed": seen.failed,
                "fault": f"{seen.failed} of {seen.requests} requests failed" if too_many_failed(seen, cell) else "",
                "resident_mib": round(held.resident / 2**20, 1),
                "proportional_mib": round(held.proportional / 2**20, 1),
                "processes": held.processes,
            }
        )

    def _load(self, server: Server, asked: Question, connections: int, seconds: int) -> Load:
        return put_under_load(server, asked, connections=connections, seconds=seconds, core=self.load_core)

    def _raw(self, cell: Cell) -> Figures:
        alone = raw(self.places, MODELS[cell.model], seconds=self.seconds, core=self.server_core)
        return self._blank(cell).model_copy(
            update={
                "requests": alone.runs,
                "seconds": round(alone.seconds, 3),
                "cpu_us": round(alone.cpu_us, 2),
                "core_share": round(alone.cpu_us * alone.runs / 1e6 / alone.seconds, 3),
            }
        )

    def _blank(self, cell: Cell) -> Figures:
        peer = PEERS[cell.peer]
        return Figures(
            peer=cell.peer,
            version=version(self.places.requirements(peer).read_text(), peer.distribution),
            model=cell.model,
            encoding=cell.encoding,
            concurrency=cell.concurrency,
            asked_seconds=self.seconds,
        )


def lasting(seconds: int, connections: int, warm: Load) -> int:
    """How long a cell lasts: what is asked, or longer where a slow server would answer only a few requests.

    What is under way when the load ends is paid for but not counted: among few requests that would show.
    """
    rate = warm.requests / warm.seconds if warm.seconds else 0
    needed = ceil(REQUESTS_PER_CONNECTION * connections / rate) if rate else LONGEST * seconds
    return min(max(seconds, needed), LONGEST * seconds)


def too_many_failed(seen: Load, cell: Cell) -> bool:
    """Whether more failed than those that the end of a load may cut."""
    return seen.failed > cell.concurrency
