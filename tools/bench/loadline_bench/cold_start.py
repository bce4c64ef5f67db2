"""How soon after its start does the runtime give its first answer?"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from loadline_results.result import Recording

from loadline_bench.asking import question, wait_for_answer
from loadline_bench.cli import default_cache
from loadline_bench.measure import raw
from loadline_bench.models import MODELS, Model
from loadline_bench.names import COLD_START, PATHS
from loadline_bench.peers import LOADLINE, Encoding
from loadline_bench.places import Places
from loadline_bench.server import serving

STARTS = 5
MOST_SECONDS = 1.5
SERVER_CORE = 0
_SHORT_RUN_SECONDS = 0.2


def cold_start(arguments: Sequence[str]) -> int:
    """Start again and again and record it."""
    parser = argparse.ArgumentParser(prog="python -m loadline_bench cold-start", description=cold_start.__doc__)
    parser.add_argument("--rounds", type=int, default=STARTS, help="fewer are told, not recorded")
    parser.add_argument("--train-python", type=Path, default=Path(".venv-train/bin/python"))
    parser.add_argument("--cache", type=Path, default=default_cache())
    chosen = parser.parse_args(arguments)
    places = Places(root=Path.cwd(), cache=chosen.cache)
    places.models.make(places.maker, chosen.train_python)
    rows = [row(model.name, [_start(model, places) for _ in range(chosen.rounds)]) for model in MODELS]
    for each in rows:
        print(each, flush=True)
    if chosen.rounds >= STARTS:
        _recording(places.root).add({"rows": rows})
    return 0 if all(each["held"] for each in rows) else 1


def row(model: str, starts: Sequence[tuple[float, float]]) -> dict[str, object]:
    """What is held against the bar: the seconds to the first answer, less those of reading and optimising the model."""
    beyond = sorted(total - load for total, load in starts)
    return {
        "of": f"first answer beyond reading the model, {model}",
        "wanted": f"≤ {MOST_SECONDS:g} s",
        "figure": f"{median(beyond):.2f} s [{beyond[0]:.2f}-{beyond[-1]:.2f}]",
        "first answer s": round(median(total for total, _ in starts), 3),
        "reading s": round(median(load for _, load in starts), 3),
        "held": median(beyond) <= MOST_SECONDS,
    }


def _start(model: Model, places: Places) -> tuple[float, float]:
    """Seconds to the first answer, and those that ONNX Runtime alone takes to read and optimise the model."""
    asked = question(LOADLINE, Encoding.JSON, model, places, seed=1)
    load_seconds = raw(places, model, seconds=_SHORT_RUN_SECONDS, core=SERVER_CORE).load_seconds
    with serving(LOADLINE, model, places, core=SERVER_CORE) as server:
        return wait_for_answer(server, asked), load_seconds


def _recording(root: Path) -> Recording:
    return Recording.begin(
        COLD_START,
        claim=f"The first answer comes within {MOST_SECONDS:g} s, beyond reading and optimising the model.",
        form="long",
        wanted_runs=1,
        paths=PATHS,
        command="make bench-serving-cold-start",
        root=root,
    )
