"""What does the runtime do with a model, in time and memory?

Run as a program of its own: a model that crashes the runtime or exhausts the memory takes nobody along, and what the
process holds before the model is loaded is the same each time.
"""

import os
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loadline_serving.batching import disproof, unbatchable_because
from loadline_serving.errors import InferenceFailedError, StartupFault
from loadline_serving.made_up import Feeds, blank_inputs, varied_inputs
from loadline_serving.outline import NotProtobufError, Operator, Outline, read_outline
from loadline_serving.session import OnnxModel, RuntimeOptions, known_operators, load
from loadline_serving.signature import Signature, TensorSpec
from loadline_serving.warm_up import warm_up

ROWS = (1, 8, 32)
_RUN_SECONDS, _MIN_RUNS, _MAX_RUNS = 0.3, 5, 50
_SLOW_RUN_SECONDS, _LONG_LOAD_SECONDS = 0.005, 10.0
"""More threads are tried on a model that takes so long to run, and not so long to load."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Tensor(_Value):
    """An input or output."""

    name: str
    type: str
    shape: tuple[int, ...] | None
    """-1: any length; None where the protocol has no form for it."""


class Memory(_Value):
    """What the process held, in bytes."""

    before: int
    loaded: int
    after_runs: int
    peak: int


class Run(_Value):
    """How long the model takes for so many rows."""

    rows: int
    seconds: float
    """The median of several runs."""


class FileFacts(_Value):
    """What the file says of itself."""

    bytes: int
    ir_version: int
    producer: str
    opsets: dict[str, int]
    operators: dict[str, int]
    """How many nodes there are of each."""


class Findings(_Value):
    """Everything about a model that can be served."""

    servable: Literal[True] = True
    file: FileFacts | None
    """None for a format of the runtime's own, which is no ONNX file."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batchable: bool
    not_batchable_because: str | None
    load_seconds: float
    warm_up_seconds: float
    runs: tuple[Run, ...]
    """Empty where no made-up rows but the blank ones of the warm-up are taken."""
    memory: Memory | None
    """None where the system does not tell."""
    row_bytes: int
    """One row of all inputs, in binary."""
    seconds_by_threads: dict[int, float]
    """One row, with other numbers of threads; empty where that was not worth a try."""


class Refusal(_Value):
    """Why a model cannot be served."""

    servable: Literal[False] = False
    reason: str
    cause: str
    missing_operators: tuple[str, ...] = ()


def examine(entry: Path, options: RuntimeOptions) -> Findings:
    """Load, warm, prove and time a model; a StartupFault says why it cannot be served."""
    outline = _outline(entry)
    before = _memory()
    begun = perf_counter()
    model = load(entry, options)
    loaded_at, loaded = perf_counter(), _memory()
    warm_up(model)
    warm_at = perf_counter()
    why = unbatchable_because(model.signature) or disproof(model)
    feeds = next(_accepted(model, rows=1), None)
    runs = tuple(_timed(model, why))
    after = _memory()
    return Findings(
        file=_facts(entry, outline) if outline else None,
        inputs=_tensors(model.signature.inputs.values()),
        outputs=_outputs(model.signature),
        batchable=why is None,
        not_batchable_because=why,
        load_seconds=loaded_at - begun,
        warm_up_seconds=warm_at - loaded_at,
        runs=runs,
        memory=Memory(before=before[0], loaded=loaded[0], after_runs=after[0], peak=after[1])
        if before and loaded and after
        else None,
        row_bytes=sum(array.nbytes for array in (feeds or {}).values()),
        seconds_by_threads=_by_threads(entry, options, runs, load_seconds=loaded_at - begun),
    )


def refusal(entry: Path, fault: StartupFault) -> Refusal:
    """A fault, and every operator that the runtime lacks: it names the first alone."""
    missing = _missing_operators(_outline(entry))
    return Refusal(reason=fault.reason.value, cause=fault.message, missing_operators=missing)


def main(arguments: Sequence[str]) -> int:
    """Examine the file that the first argument names; findings or refusal go to standard output."""
    entry, threads = Path(arguments[0]), int(arguments[1])
    try:
        found: Findings | Refusal = examine(entry, RuntimeOptions(threads=threads))
    except StartupFault as fault:
        found = refusal(entry, fault)
    sys.stdout.write(found.model_dump_json())
    return 0


def _outline(entry: Path) -> Outline | None:
    try:
        return read_outline(entry)
    except (NotProtobufError, OSError):
        return None


def _facts(entry: Path, outline: Outline) -> FileFacts:
    files = [entry, *(entry.parent / name for name in outline.external)]
    most_first = sorted(outline.operators.items(), key=lambda item: (-item[1], str(item[0])))
    return FileFacts(
        bytes=sum(path.stat().st_size for path in files),
        ir_version=outline.ir_version,
        producer=outline.producer,
        opsets=dict(outline.opsets),
        operators={str(operator): count for operator, count in most_first},
    )


def _missing_operators(outline: Outline | None) -> tuple[str, ...]:
    if outline is None:
        return ()
    known = known_operators()

    def has(operator: Operator) -> bool:
        since = known.get(operator)
        return operator in outline.functions or (since is not None and since <= outline.opsets.get(operator.domain, 1))

    return tuple(sorted(str(operator) for operator in outline.operators if not has(operator)))


def _tensors(specs: Iterable[TensorSpec]) -> tuple[Tensor, ...]:
    return tuple(Tensor(name=spec.name, type=spec.datatype.name, shape=spec.shape) for spec in specs)


def _outputs(signature: Signature) -> tuple[Tensor, ...]:
    others = tuple(Tensor(name=name, type=kind, shape=None) for name, kind in signature.untransferable.items())
    return (*_tensors(signature.outputs.values()), *others)


def _accepted(model: OnnxModel, *, rows: int) -> Iterator[Feeds]:
    """Made-up rows that the model takes, varied before blank ones."""
    for feeds in (*varied_inputs(model.signature, rows=rows), *blank_inputs(model.signature, rows=rows)):
        try:
            model.run(tuple(model.signature.outputs), feeds)
        except InferenceFailedError:
            continue
        yield feeds


def _timed(model: OnnxModel, unbatchable: str | None) -> Iterator[Run]:
    """One row, and more where they may run together; the rows of a fixed batch are its own."""
    for rows in ROWS if unbatchable is None else ROWS[:1]:
        if feeds := next(_accepted(model, rows=rows), None):
            there = max((array.shape[0] for array in feeds.values() if array.ndim), default=1)
            yield Run(rows=there, seconds=_median_seconds(model, feeds))


def _median_seconds(model: OnnxModel, feeds: Feeds) -> float:
    outputs = tuple(model.signature.outputs)
    times: list[float] = []
    begun = perf_counter()
    while len(times) < _MIN_RUNS or (len(times) < _MAX_RUNS and perf_counter() - begun < _RUN_SECONDS):
        started = perf_counter()
        model.run(outputs, feeds)
        times.append(perf_counter() - started)
    return statistics.median(times)


def _by_threads(entry: Path, options: RuntimeOptions, runs: Sequence[Run], *, load_seconds: float) -> dict[int, float]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not runs or runs[0].seconds < _SLOW_RUN_SECONDS or load_seconds > _LONG_LOAD_SECONDS:
        return {}
    found = {options.threads: runs[0].seconds}
    for threads in (2, 4):
        if threads <= cores and threads != options.threads:
            model = load(entry, RuntimeOptions(threads=threads, graph_optimization=options.graph_optimization))
            if feeds := next(_accepted(model, rows=1), None):
                found[threads] = _median_seconds(model, feeds)
    return found


def _memory() -> tuple[int, int] | None:
    """What the process holds, and the most that it held."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    values = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    now, most = (int(values[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
