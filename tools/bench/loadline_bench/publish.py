"""How do the figures come into docs/performance.md and docs/plots?"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loadline_results import lines
from loadline_results.result import read

from loadline_bench.names import BENCHMARK, DOCS
from loadline_bench.telling.page import OTHERS, with_benchmark
from loadline_bench.telling.plots import draw
from loadline_bench.telling.results import Results


def publish(arguments: Sequence[str]) -> int:
    """Make the benchmark's part of the page and its pictures anew."""
    parser = argparse.ArgumentParser(prog="python -m loadline_bench page", description=publish.__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the page (default: docs)")
    parser.add_argument("--cells", type=Path, help="another file of cells, for a look at a short run")
    chosen = parser.parse_args(arguments)
    measured = lines.read(chosen.cells or chosen.docs / "results" / f"{BENCHMARK}.jsonl")
    others = [each for name in OTHERS if (each := read(chosen.docs / "results" / f"{name}.json"))]
    page = chosen.docs / "performance.md"
    page.write_text(with_benchmark(page.read_text(), measured, others))
    if measured:
        folder = chosen.docs / "plots"
        folder.mkdir(exist_ok=True)
        for name, picture in draw(Results.of(measured)).items():
            (folder / name).write_text(picture)
    print(f"{page} shows {len(measured)} cells", file=sys.stderr)
    return 0
