"""Does the runtime's memory stay what it is, however many requests come and whatever they hold?"""

import argparse
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from loadline_results.result import Recording

from loadline_bench import malformed, usage
from loadline_bench.asking import question, wait_for_answer
from loadline_bench.cli import default_cache
from loadline_bench.models import BY_NAME as MODELS
from loadline_bench.models import Model
from loadline_bench.names import MEMORY, PATHS
from loadline_bench.peers import LOADLINE
from loadline_bench.places import Places
from loadline_bench.server import Server, serving
from loadline_bench.traffic import put_under_load

REQUESTS = 1_000_000
BAD_OF_A_KIND = 200
BAND_PERCENT = 2.0
SPELL_SECONDS = 10
CONNECTIONS = 8
MODEL = "tabular"
SERVER_CORE, LOAD_CORE = 0, 1
WARM_UP_SPELLS = 3
WARM_UP_BAD = 20


def memory(arguments: Sequence[str]) -> int:
    """Measure once and record it."""
    parser = argparse.ArgumentParser(prog="python -m loadline_bench memory", description=memory.__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="fewer are told, not recorded")
    parser.add_argument("--spell", type=int, default=SPELL_SECONDS, help="seconds between two looks")
    parser.add_argument("--train-python", type=Path, default=Path(".venv-train/bin/python"))
    parser.add_argument("--cache", type=Path, default=default_cache())
    chosen = parser.parse_args(arguments)
    places = Places(root=Path.cwd(), cache=chosen.cache)
    places.models.make(places.maker, chosen.train_python)
    with serving(LOADLINE, MODELS[MODEL], places, core=SERVER_CORE) as server:
        run = _Run(server, MODELS[MODEL], places, chosen.spell).rows(chosen.requests)
    for row in run["rows"]:
        print(row, flush=True)
    print(run["statuses"])
    if chosen.requests >= REQUESTS:
        _recording(places.root).add(run)
    return 0 if all(row["held"] for row in run["rows"]) else 1


class _Run:
    """One server, from its first request to its last."""

    def __init__(self, server: Server, model: Model, places: Places, spell: int) -> None:
        self._server = server
        self._spell = spell
        self._asked = {encoding: question(LOADLINE, encoding, model, places, seed=1) for encoding in LOADLINE.encodings}
        self._kinds = malformed.kinds(model.rows(seed=1))
        for asked in self._asked.values():
            wait_for_answer(server, asked)

    def rows(self, wanted: int) -> dict[str, Any]:
        """What is held against the band, and how each kind was refused."""
        # Pools, arenas and caches fill with the first requests, good and bad; what counts is what comes after.
        deque(self._spells(WARM_UP_SPELLS), maxlen=0)
        for kind in self._kinds:
            self._send(kind, WARM_UP_BAD)
        answered, good = self._good(wanted)
        statuses, bad = self._bad()
        said = f"{BAD_OF_A_KIND} bad requests of each of {len(statuses)} kinds"
        return {
            "rows": [row(f"{answered:,} requests", good), row(said, bad), refusals(statuses)],
            "statuses": statuses,
        }

    def _good(self, wanted: int) -> tuple[int, list[int]]:
        """The requests that were answered, and what was held between spells."""
        answered, held = 0, [self._held()]
        for number in self._spells():
            answered += number
            held.append(self._held())
            if answered >= wanted:
                break
        return answered, held

    def _bad(self) -> tuple[dict[str, dict[str, int]], list[int]]:
        """The statuses of each kind, and what was held between kinds."""
        statuses, held = {}, [self._held()]
        for kind in self._kinds:
            statuses[kind.name] = dict(self._send(kind, BAD_OF_A_KIND))
            held.append(self._held())
        return statuses, held

    def _spells(self, number: int | None = None) -> Iterator[int]:
        """The requests of each spell, one encoding after the other."""
        turns = cycle(self._asked.values())
        for turn, asked in enumerate(turns):
            if turn == number:
                return
            seen = put_under_load(self._server, asked, connections=CONNECTIONS, seconds=self._spell, core=LOAD_CORE)
            yield seen.requests

    def _send(self, kind: malformed.Kind, number: int) -> Counter[str]:
        return Counter(malformed.refusal(self._server, kind) for _ in range(number))

    def _held(self) -> int:
        return usage.memory(self._server.pid).resident


def row(said: str, held: Sequence[int]) -> dict[str, object]:
    """How far memory went from where it was, in percent of it."""
    low, high = ((value / held[0] - 1) * 100 for value in (min(held), max(held)))
    within = all(abs(value - held[0]) * 100 <= BAND_PERCENT * held[0] for value in held)
    return {
        "of": said,
        "wanted": f"± {BAND_PERCENT:g} %",
        "figure": f"{low:+.2f} to {high:+.2f} % of {held[0] / 2**20:.1f} MiB",
        "held": within,
    }


def refusals(statuses: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    """Whether every bad request was told that it is one."""
    odd = {
        kind: ", ".join(counted)
        for kind, counted in statuses.items()
        if not all(malformed.is_refused(status) for status in counted)
    }
    told = "".join(f"; {kind}: {words}" for kind, words in odd.items())
    return {
        "of": "bad requests that are told so",
        "wanted": "all kinds",
        "figure": f"{len(statuses) - len(odd)} of {len(statuses)}{told}",
        "held": not odd,
    }


def _recording(root: Path) -> Recording:
    return Recording.begin(
        MEMORY,
        claim=f"Memory stays within ± {BAND_PERCENT:g} %, over good requests and over bad ones.",
        form="long",
        wanted_runs=1,
        paths=PATHS,
        command="make bench-serving-memory",
        root=root,
    )
