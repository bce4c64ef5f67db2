"""Waiting inside an event loop until something holds."""

import asyncio
from collections.abc import Callable
from time import monotonic

SECONDS = 10.0


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until it holds; an AssertionError if it does not soon."""
    deadline = monotonic() + SECONDS
    while not holds():
        assert monotonic() < deadline, f"never held within {SECONDS:g} s"
        await asyncio.sleep(0.001)
