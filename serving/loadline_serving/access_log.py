"""Which requests are told as events, without any of them waiting for it?

Every so many-th request, and every failure of ours, is put into a bounded queue; a thread writes it. What comes faster
than it can be written is dropped and counted.
"""

import logging
from collections.abc import Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any

log = logging.getLogger(__name__)

_WAITING = 1000
"""Events that may wait to be written."""


class AccessLog:
    """Takes events at the cost of a comparison, and writes some of them."""

    def __init__(self, one_in: int) -> None:
        """`one_in`: tell every so many-th request; 0: only failures."""
        self._one_in = one_in
        self._until_next = one_in
        self.dropped = 0
        self._events: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        Thread(target=self._write, name="access-log", daemon=True).start()

    def wants(self, *, failed: bool) -> bool:
        """Whether a request is one to tell of. `failed`: by our fault."""
        self._until_next -= 1
        if self._until_next == 0:
            self._until_next = self._one_in
            return True
        return failed

    def tell(self, **event: Any) -> None:
        """Have an event written soon."""
        if self._events.qsize() >= _WAITING:
            self.dropped += 1
        else:
            self._events.put(event)

    def _write(self) -> None:
        while True:
            log.info("Answered request", extra=dict(self._events.get()))
