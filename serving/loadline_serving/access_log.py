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

    def __init__(self, share: float) -> None:
        """`share`: of the requests that are told, from 0 (only failures) to 1."""
        self._share = share
        self._sum = 0.0
        self.dropped = 0
        self._events: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        Thread(target=self._write, name="access-log", daemon=True).start()

    def wants(self, *, failed: bool) -> bool:
        """Whether a request is one to tell of. `failed`: by our fault."""
        self._sum += self._share
        if self._sum >= 1.0:
            self._sum -= 1.0
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
