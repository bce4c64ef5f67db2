"""How is a loaded model made warm, and what does that tell about how to run it?"""

import itertools
from statistics import median
from time import perf_counter

from loadline_contracts.conditions import Reason

from loadline_serving.batching import proves_batchable
from loadline_serving.errors import InferenceFailedError, StartupFault
from loadline_serving.inference import Model
from loadline_serving.made_up import Feeds, blank_inputs, varied_inputs
from loadline_serving.pace import INLINE_SECONDS, PROBED_ROWS, Pace, pace

_TIMED_RUNS = 5
_TIMED_SECONDS = 0.2
"""A slow model is timed by fewer runs: its callers wait for them."""


def warm_up(model: Model) -> None:
    """Run on made-up inputs of the real signature, so that the first caller pays for nothing."""
    fault: InferenceFailedError | None = None
    outputs = tuple(model.signature.outputs)
    for feeds in blank_inputs(model.signature):
        try:
            model.run(outputs, feeds)
            model.run(outputs, feeds)
        except InferenceFailedError as error:
            fault = fault or error
        else:
            return
    raise StartupFault(Reason.WARMUP_FAILED, f"the model loads but fails on made-up inputs: {fault}")


def find_pace(model: Model, most: int) -> Pace:
    """Time a warm model on made-up rows. `most`: rows that the settings allow in one run."""
    one = _seconds(model, rows=1)
    if one is None:
        return Pace(inline=True, rows=1)
    if most == 1 or not proves_batchable(model):
        return pace(one, None, most)
    # How long many rows take decides only what runs in the event loop.
    several = _seconds(model, rows=PROBED_ROWS) if one <= INLINE_SECONDS else one
    return pace(one, several, most)


def _seconds(model: Model, rows: int) -> float | None:
    """The median of a few runs, or None if the model takes no made-up input of so many rows."""
    outputs = tuple(model.signature.outputs)
    for feeds in itertools.chain(varied_inputs(model.signature, rows=rows), blank_inputs(model.signature, rows=rows)):
        try:
            model.run(outputs, feeds)
        except InferenceFailedError:
            continue
        return _timed(model, outputs, feeds)
    return None


def _timed(model: Model, outputs: tuple[str, ...], feeds: Feeds) -> float:
    taken: list[float] = []
    while len(taken) < _TIMED_RUNS and sum(taken) < _TIMED_SECONDS:
        begun = perf_counter()
        model.run(outputs, feeds)
        taken.append(perf_counter() - begun)
    return median(taken)
