"""How does what was found out about a model read?"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from loadline_contracts.conditions import Reason

from loadline_serving.batching import PROOF_ROWS
from loadline_serving.examination import Findings, Refusal, Tensor
from loadline_serving.screen import duration, size
from loadline_serving.settings import ServeSettings
from loadline_serving.signature import VARIABLE

_WIDTH = 100
_INDENT = 13
_MANY_OPERATORS = 12
_WORTHWHILE = 1.4
"""So many times faster must a run be with more threads that they are worth their cores."""
_SERVER_BYTES = 64 << 20
"""What the servers of both protocols hold, which the examination does not start."""
_RESERVE = 1.25
_MEBIBYTE = 1 << 20
_REMEDIES: Mapping[str, str] = {
    Reason.NOT_ONNX: "Export the model to ONNX again, and compare the file's length or sha256 after copying it.",
    Reason.UNSUPPORTED_OPERATOR: "Export it with standard operators, or with an older opset.",
    Reason.WARMUP_FAILED: "Look whether its inputs are declared with the shapes that it really takes.",
    Reason.OUT_OF_MEMORY: "Give it more memory, or make the model smaller (FP16, quantisation).",
    Reason.MODEL_LOAD_FAILED: "Look at it with onnx.checker.check_model; its inputs must be tensors of a type that has "
    "a name in the Open Inference Protocol.",
}


def report(title: str, found: Findings) -> str:
    """A model that can be served."""
    rows: list[tuple[str, Sequence[str]]] = [
        *_file(found),
        ("inputs", _tensors(found.inputs, batchable=found.batchable)),
        ("outputs", _tensors(found.outputs, batchable=found.batchable)),
        ("batchable", [_batchable(found)]),
        *_measured(found),
        ("suggested", list(_suggestions(found))),
    ]
    return "\n".join([f"{title} can be served.", "", *(line for name, texts in rows for line in _row(name, texts))])


def refused(title: str, found: Refusal) -> str:
    """A model that cannot."""
    lines = [f"{title} cannot be served ({found.reason}).", "", *_row("cause", [found.cause])]
    if found.missing_operators:
        lines += _row("missing", [f"operators that the runtime does not have: {', '.join(found.missing_operators)}"])
    if remedy := _REMEDIES.get(found.reason):
        lines += _row("remedy", [remedy])
    return "\n".join(lines)


def _file(found: Findings) -> Iterator[tuple[str, Sequence[str]]]:
    if not (file := found.file):
        return
    opsets = ", ".join(f"{domain} {version}" for domain, version in file.opsets.items())
    yield "file", [f"{size(file.bytes)}, ONNX IR {file.ir_version}, made by {file.producer or 'an unnamed producer'}"]
    yield "opsets", [opsets or "none"]
    counts = [f"{name} {count}" for name, count in file.operators.items()]
    more = [f"{len(counts) - _MANY_OPERATORS} more kinds"] if len(counts) > _MANY_OPERATORS else []
    total = f"{sum(file.operators.values())} nodes: "
    yield "operators", [total + ", ".join(counts[:_MANY_OPERATORS] + more)]


def _tensors(tensors: Sequence[Tensor], *, batchable: bool) -> Sequence[str]:
    names = max((len(tensor.name) for tensor in tensors), default=0)
    types = max((len(tensor.type) for tensor in tensors), default=0)
    return [
        f"{tensor.name:<{names}}  {tensor.type:<{types}}  {_shape(tensor, batchable=batchable)}" for tensor in tensors
    ]


def _shape(tensor: Tensor, *, batchable: bool) -> str:
    if tensor.shape is None:
        return "cannot be asked for"
    words = ["any" if length == VARIABLE else str(length) for length in tensor.shape]
    return f"[{', '.join(['batch', *words[1:]] if batchable else words)}]"


def _batchable(found: Findings) -> str:
    if found.batchable:
        return f"yes: {PROOF_ROWS} made-up rows have the same answers together as one by one"
    return f"no: {found.not_batchable_because}"


def _measured(found: Findings) -> Iterator[tuple[str, Sequence[str]]]:
    yield "load", [f"{duration(found.load_seconds)}, then {duration(found.warm_up_seconds)} to warm up"]
    if found.runs:
        yield "run", [", ".join(f"{_rows(run.rows)} {duration(run.seconds)}" for run in found.runs) + " (medians)"]
    if memory := found.memory:
        yield (
            "memory",
            [
                f"{size(memory.before)} before loading, {size(memory.loaded)} loaded, {size(memory.after_runs)} after "
                f"the runs, {size(memory.peak)} at most"
            ],
        )


def _suggestions(found: Findings) -> Iterator[str]:
    threads = _threads(found)
    yield f"threads: {threads}" + _gain(found)
    if found.memory:
        needed = (found.memory.peak + _SERVER_BYTES) * _RESERVE
        yield f"memory: {-(-int(needed) // (64 * _MEBIBYTE)) * 64}Mi"
    if found.batchable and len(found.runs) > 1:
        first, last = found.runs[0], found.runs[-1]
        times = first.seconds * last.rows / (last.seconds * first.rows)
        yield f"rows of several requests run together: {last.rows} at once take {times:.1f} times less than one by one"
    limit = int(ServeSettings.model_fields["max_request_bytes"].default)
    # JSON takes up to four times the bytes of the numbers themselves.
    if found.row_bytes * 4 > limit:
        yield f"maxRequestBytes: {-(-found.row_bytes * 4 // _MEBIBYTE)}Mi, as one row may be larger than {size(limit)}"


def _threads(found: Findings) -> int:
    """The number of threads that is worth its cores: each doubling must pay."""
    measured = sorted(found.seconds_by_threads.items())
    if not measured:
        return 1
    chosen, seconds = measured[0]
    for threads, faster in measured[1:]:
        if seconds / faster >= _WORTHWHILE:
            chosen, seconds = threads, faster
    return chosen


def _gain(found: Findings) -> str:
    if len(found.seconds_by_threads) < 2:
        return ""
    times = ", ".join(f"{duration(seconds)} with {count}" for count, seconds in found.seconds_by_threads.items())
    return f" (one row takes {times})"


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def _row(name: str, texts: Sequence[str]) -> Sequence[str]:
    lines = [
        line
        for text in texts
        for line in textwrap.wrap(text, _WIDTH - _INDENT, break_on_hyphens=False, drop_whitespace=True)
    ] or ["none"]
    return [f"  {name if not i else '':<{_INDENT - 2}}{line}" for i, line in enumerate(lines)]
