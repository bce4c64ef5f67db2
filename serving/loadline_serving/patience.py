"""How often is a remote asked again, before it is given up?"""

from collections.abc import Callable
from time import sleep
from typing import TypeVar

from loadline_contracts.conditions import Reason

from loadline_serving.errors import StartupFault

ATTEMPTS = 5
FIRST_DELAY = 0.5

Result = TypeVar("Result")


class UnreachableError(Exception):
    """A remote gave no answer, or one that may be another one later."""


class Patience:
    """Waits twice as long after each failure in a row, and ends in a fault after the last."""

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._what = what
        self._say = say
        self._failures = 0

    def renew(self) -> None:
        """Something came: the failures before it do not count any more."""
        self._failures = 0

    def wait(self, error: UnreachableError) -> None:
        """Wait before the next attempt; a fault if that was the last."""
        self._failures += 1
        if self._failures == ATTEMPTS:
            raise StartupFault(
                Reason.SOURCE_UNAVAILABLE, f"{self._what}: {error}; given up after {ATTEMPTS} attempts"
            ) from error
        delay = FIRST_DELAY * 2 ** (self._failures - 1)
        self._say(f"{self._what}: {error}; trying again in {delay:g} s ({self._failures} of {ATTEMPTS - 1})")
        sleep(delay)


def patiently(call: Callable[[], Result], what: str, say: Callable[[str], None]) -> Result:
    """Call until there is an answer."""
    patience = Patience(what, say)
    while True:
        try:
            return call()
        except UnreachableError as error:
            patience.wait(error)
