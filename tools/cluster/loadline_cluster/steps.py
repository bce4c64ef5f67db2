"""What is happening, why, and how long did it take?"""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Step:
    """One step under way; it may report that nothing was to be done."""

    def __init__(self) -> None:
        self.outcome = "done"

    def already(self, what: str = "already there") -> None:
        """Say that this step found its work done."""
        self.outcome = what

    def note(self, what: str) -> None:
        """Say something while the step is under way."""
        print(f"    {what}", flush=True)


@contextmanager
def step(name: str, why: str) -> Iterator[Step]:
    """Print the step and its reason, then its outcome and its time."""
    print(f"==> {name}: {why}", flush=True)
    started = time.monotonic()
    under_way = Step()
    yield under_way
    print(f"    {under_way.outcome} ({time.monotonic() - started:.1f} s)", flush=True)
