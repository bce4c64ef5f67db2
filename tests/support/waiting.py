"""How a test waits: for a condition, until a deadline, and with a message that says what was seen instead."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


class NeverHappenedError(AssertionError):
    """A condition that a test waited for did not come true in time."""

    def __init__(self, what: str, *, within: float, seen: str, context: str) -> None:
        super().__init__("\n".join(filter(None, [f"not within {within:g} s: {what}", f"last seen: {seen}", context])))


def wait_for(
    look: Callable[[], Seen | None],
    what: str,
    *,
    within: float,
    every: float = 0.25,
    seen: Callable[[], object] | None = None,
    context: Callable[[], str] | None = None,
) -> Seen:
    """Return the first true value of `look`, or fail with what `seen` and `context` say."""
    deadline = time.monotonic() + within
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise NeverHappenedError(
                what,
                within=within,
                seen=repr(value) if seen is None else str(seen()),
                context="" if context is None else context(),
            )
        time.sleep(every)


def stays(look: Callable[[], object], what: str, *, for_seconds: float, every: float = 0.5) -> None:
    """Assert that `look` stays true: for claims that something does not happen."""
    deadline = time.monotonic() + for_seconds
    while time.monotonic() < deadline:
        assert look(), f"did not stay so for {for_seconds:g} s: {what}"
        time.sleep(every)
