"""Does progress change one line on a terminal, and stay out of the way elsewhere?"""

import io

from loadline_serving.screen import Screen, duration, size
from typing_extensions import override


class Terminal(io.StringIO):
    """A stream that says it is one."""

    @override
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_takes_the_place_of_progress_and_what_is_said_stays() -> None:
    out = Terminal()
    screen = Screen(out)
    screen.progress("one")
    screen.progress("two")
    screen.say("done")
    screen.say("more")
    assert out.getvalue() == "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[Kdone\nmore\n"


def test_a_line_longer_than_the_terminal_is_cut() -> None:
    out = Terminal()
    Screen(out).progress("x" * 500)
    assert len(out.getvalue()) < 500


def test_elsewhere_progress_is_a_plain_line_every_ten_seconds() -> None:
    out, now = io.StringIO(), [0.0]
    screen = Screen(out, clock=lambda: now[0])
    for second in range(26):
        now[0] = float(second)
        screen.progress(f"{second} s")
    screen.clear()
    assert out.getvalue() == "10 s\n20 s\n"


def test_sizes_and_times_have_the_unit_that_reads_best() -> None:
    assert [size(200), size(98_234_567)] == ["0.2 kB", "98.2 MB"]
    assert [duration(0.00001), duration(0.0123), duration(3.21)] == ["10 µs", "12.3 ms", "3.2 s"]
