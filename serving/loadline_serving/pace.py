"""Does the model run in the event loop or beside it, and how many rows at a time?

A thread costs some 50 µs per run, which a small model would feel; a long run in the event loop would hold up health,
refusals and the reading of requests. So what is short runs in the loop, and no run there is longer than is good.
"""

from dataclasses import dataclass

INLINE_SECONDS = 0.002
"""A model whose run on one row takes longer runs in a thread."""
INLINE_BATCH_SECONDS = 0.010
"""How long a run of many rows may hold up the event loop."""
PROBED_ROWS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How the model is run."""

    inline: bool
    """In the event loop's own thread."""
    rows: int
    """The most rows of several requests in one run; 1: requests are never put together."""


def pace(one: float, several: float | None, most: int) -> Pace:
    """Decide from seconds: of a run on one row, and on PROBED_ROWS rows (None: rows cannot be put together)."""
    inline = one <= INLINE_SECONDS
    if several is None or most == 1:
        return Pace(inline=inline, rows=1)
    if not inline:
        return Pace(inline=False, rows=most)
    row = max((several - one) / (PROBED_ROWS - 1), 1e-9)
    fitting = 1 + int((INLINE_BATCH_SECONDS - one) / row)
    return Pace(inline=True, rows=max(1, min(most, fitting)))
