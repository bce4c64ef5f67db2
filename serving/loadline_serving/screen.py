"""What does a person see while something takes its time?

On a terminal one line that changes; elsewhere plain lines, seldom, without a control character.
"""

import shutil
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import TextIO

_CLEAR = "\r\x1b[K"
_SELDOM_SECONDS = 10.0


class Screen:
    """Where progress and results are shown. Any thread may write."""

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = monotonic) -> None:
        self._out = out
        self._clock = clock
        self._lock = Lock()
        self._shown = False
        self._last = clock()
        self.is_terminal = out.isatty()

    def say(self, text: str) -> None:
        """Lines that stay."""
        with self._lock:
            self._write((_CLEAR if self._shown else "") + text + "\n")
            self._shown = False
            self._last = self._clock()

    def progress(self, text: str) -> None:
        """How far it is: takes the place of what was said last on a terminal; elsewhere a line every ten seconds."""
        with self._lock:
            if self.is_terminal:
                self._write(_CLEAR + text[: shutil.get_terminal_size().columns - 1])
                self._shown = True
            elif self._clock() - self._last >= _SELDOM_SECONDS:
                self._write(text + "\n")
                self._last = self._clock()

    def clear(self) -> None:
        """Take the changing line away."""
        with self._lock:
            if self._shown:
                self._write(_CLEAR)
                self._shown = False

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def size(count: float) -> str:
    """A number of bytes as people read it."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def duration(seconds: float) -> str:
    """A time as people read it."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
