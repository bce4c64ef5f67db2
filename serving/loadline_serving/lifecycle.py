"""Which state is the process in, and how does it leave without failing anyone?"""

import asyncio
from enum import StrEnum
from time import monotonic

MIN_QUIET_SECONDS = 2.0
"""Endpoints, Envoy and connections follow readiness by up to a second: less quiet would be luck."""
STUCK_SECONDS = 30.0
"""An event loop that has not turned for so long will not by itself: liveness says so, and the pod starts anew."""
_TICK_SECONDS = 0.1
_MARGIN = 0.1
"""The share of the grace period that is kept for closing connections."""


class State(StrEnum):
    """What readiness says."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The state, and when the last request came. Probes read it from their own threads."""

    def __init__(self) -> None:
        self.state = State.LOADING
        self._last_request = monotonic()
        self._last_beat = monotonic()
        self._stop = asyncio.Event()

    @property
    def started(self) -> bool:
        """Whether the model was ready once."""
        return self.state is not State.LOADING

    @property
    def wants_requests(self) -> bool:
        """Whether callers should come here."""
        return self.state is State.READY

    @property
    def alive(self) -> bool:
        """Whether the event loop turns. Nothing that is meant to run in it takes nearly as long."""
        return monotonic() - self._last_beat < STUCK_SECONDS

    def beat(self) -> None:
        """Note that the event loop turns."""
        self._last_beat = monotonic()

    def touch(self) -> None:
        """Note that a request came."""
        self._last_request = monotonic()

    def draining(self) -> bool:
        """Whether callers should go elsewhere."""
        return self.state is State.DRAINING

    def ready(self) -> None:
        """The model answers from now on."""
        if self.state is State.LOADING:
            self.state = State.READY

    def stop(self) -> bool:
        """Begin to drain; False if that had begun."""
        if self._stop.is_set():
            return False
        self._stop.set()
        return True

    async def stopped(self) -> None:
        """Wait for the order to stop."""
        await self._stop.wait()

    async def quiet(self, *, quiet_seconds: float, grace_seconds: float, at_least: float = MIN_QUIET_SECONDS) -> bool:
        """Answer not-ready and serve on until no request came for a while; False if the grace period is nearly over."""
        self.state = State.DRAINING
        deadline = monotonic() + grace_seconds * (1 - _MARGIN)
        quiet_seconds = max(quiet_seconds, at_least)
        quiet = 0.0
        while quiet < quiet_seconds:
            now, heard = monotonic(), self._last_request
            step = min(_TICK_SECONDS, quiet_seconds - quiet, deadline - now)
            if step <= 0:
                return False
            await asyncio.sleep(step)
            # Only time in which the event loop turned was quiet: while a busy machine kept it from turning, requests
            # came and were not heard.
            quiet = quiet + step if self._last_request == heard else 0.0
        return True
