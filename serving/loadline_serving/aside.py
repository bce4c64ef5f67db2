"""How does work run beside the main thread without keeping a stopped process from ending?"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


def aside(work: Callable[[], Result]) -> "Future[Result]":
    """Run in a daemon thread: unlike an executor's, nobody waits for it at the end."""
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            outcome.set_exception(error)

    Thread(target=run, name="aside", daemon=True).start()
    return outcome
