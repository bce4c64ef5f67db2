"""May rows of different requests run through the model together?

The signature says whether they could; a run of made-up rows, together and one by one, says whether they may. Both are
needed: a first dimension of any length can also be time, or a softmax can run across it.
"""

from collections.abc import Sequence

import numpy as np

from loadline_serving.datatypes import Array
from loadline_serving.errors import InferenceFailedError
from loadline_serving.inference import Model
from loadline_serving.made_up import Feeds, row_of, varied_inputs
from loadline_serving.signature import VARIABLE, Signature, TensorSpec

PROOF_ROWS = 3
"""Two could agree by a symmetry: what a model does to the first and the last need not be what it does between."""
# A matrix product adds up in another order for another number of rows, and differs in the last bits. A scale that is
# taken of the whole batch (dynamic quantisation) differs by far more.
_RELATIVE_TOLERANCE = 1e-4
_HALF_TOLERANCE = 1e-2


def is_batchable(signature: Signature) -> bool:
    """Whether every input and every output has a first dimension of any length."""
    return unbatchable_because(signature) is None


def unbatchable_because(signature: Signature) -> str | None:
    """What in the signature forbids to run rows together; None where nothing does."""
    if signature.untransferable:
        name, onnx_type = next(iter(signature.untransferable.items()))
        return f"output '{name}' is of ONNX type {onnx_type}, which has no rows to hand out"
    if not signature.inputs:
        return "the model has no inputs"
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        for spec in specs.values():
            if why := _without_batch(spec):
                return f"{kind} '{spec.name}' {why}"
    return None


def proves_batchable(model: Model) -> bool:
    """Whether the signature allows it and made-up rows get the same answers together as one by one."""
    return is_batchable(model.signature) and disproof(model) is None


def disproof(model: Model) -> str | None:
    """Why made-up rows must not run together, for a model whose signature allows it; None where they may."""
    signature = model.signature
    fault: InferenceFailedError | None = None
    for feeds in varied_inputs(signature, rows=PROOF_ROWS):
        try:
            return _difference(model, signature, feeds)
        except InferenceFailedError as error:
            fault = fault or error
    return f"it fails on {PROOF_ROWS} made-up rows: {fault}"


def _difference(model: Model, signature: Signature, feeds: Feeds) -> str | None:
    names = tuple(signature.outputs)
    alone = [model.run(names, row_of(feeds, row)) for row in range(PROOF_ROWS)]
    together = model.run(names, feeds)
    for position, name in enumerate(names):
        if why := _unequal(together[position], [answer[position] for answer in alone]):
            return f"output '{name}' {why}"
    return None


def _without_batch(spec: TensorSpec) -> str | None:
    if not spec.shape:
        return "is a single value"
    if spec.shape[0] != VARIABLE:
        return f"has a fixed first dimension of {spec.shape[0]}"
    return None


def _unequal(together: Array, alone: Sequence[Array]) -> str | None:
    if together.shape[:1] != (PROOF_ROWS,):
        return f"has shape {list(together.shape)} for {PROOF_ROWS} rows: its first dimension is not theirs"
    if any(answer.shape != (1, *together.shape[1:]) for answer in alone):
        return "has another shape for a row alone than for the same row among others"
    if _close(together, np.concatenate(alone)):
        return None
    return "has other values for a row alone than for the same row among others"


def _close(left: Array, right: Array) -> bool:
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    relative = _HALF_TOLERANCE if left.dtype.itemsize == 2 else _RELATIVE_TOLERANCE
    finite = np.abs(right[np.isfinite(right)])
    absolute = relative * float(finite.max(initial=0.0))
    return bool(np.allclose(left, right, rtol=relative, atol=absolute, equal_nan=True))
