"""Is this process alive, and is it fit to lead?

Alive: the event loop turns, the queue moves, the lease's thread works. Ready: every object was listed once, so that the
process could take over; a standby is as ready as the leader.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from loadline_operators.telemetry import LOOP_LAG

LONGEST_LAG: Final = 10.0
LONGEST_QUEUE_WAIT: Final = 120.0
LONGEST_LEASE_SILENCE: Final = 60.0
_BEAT: Final = 1.0


@dataclass(kw_only=True)
class Pulse:
    """Watches how late the event loop runs what is due."""

    lag: float = 0.0

    async def beat(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT
            await asyncio.sleep(_BEAT)
            self.lag = loop.time() - due
            LOOP_LAG.set(self.lag)


@dataclass(frozen=True, kw_only=True)
class Health:
    """What the two probes look at."""

    pulse: Pulse
    queue_wait: Callable[[], float]
    """How long the object that waits longest has been due, in the replica that looks at objects."""
    lease_silence: Callable[[], float]
    """How long the thread that stands for the lease has not turned."""
    stale_kinds: Callable[[], tuple[str, ...]]
    """Kinds whose watch has missed changes again and again."""
    is_synced: Callable[[], bool]

    def sickness(self) -> str:
        """Why the process should be started anew; empty when it is well."""
        if self.pulse.lag > LONGEST_LAG:
            return f"the event loop runs {self.pulse.lag:.1f} s late"
        if (waited := self.queue_wait()) > LONGEST_QUEUE_WAIT:
            return f"an object has waited {waited:.0f} s for a look"
        if (silence := self.lease_silence()) > LONGEST_LEASE_SILENCE:
            return f"the lease was not looked at for {silence:.0f} s"
        if stale := self.stale_kinds():
            return f"the watch of {', '.join(stale)} misses changes"
        return ""

    def app(self) -> web.Application:
        """The two endpoints."""
        app = web.Application()
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        return app

    async def _live(self, _: web.Request) -> web.Response:
        sickness = self.sickness()
        return web.Response(text=sickness or "alive", status=503 if sickness else 200)

    async def _ready(self, _: web.Request) -> web.Response:
        synced = self.is_synced()
        return web.Response(text="ready" if synced else "listing", status=200 if synced else 503)


async def serve(app: web.Application, port: int) -> Callable[[], Awaitable[None]]:
    """Serve the endpoints; gives back what ends it."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner.cleanup
