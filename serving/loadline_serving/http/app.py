"""What answers all but infer requests: FastAPI, made when someone first asks for it."""

from collections.abc import Callable
from typing import Any, cast

from loadline_serving.http.asgi import AsgiApp, Message, Receive, Scope, Send
from loadline_serving.http.connection import Paths
from loadline_serving.inference import Identity
from loadline_serving.lifecycle import Lifecycle


def infer_paths(identity: Identity) -> Paths:
    """The paths that never get here."""
    model = f"/v2/models/{identity.name}"
    return Paths(frozenset({f"{model}/infer", f"{model}/versions/{identity.version}/infer"}))


class Front:
    """The ASGI application."""

    def __init__(self, lifecycle: Lifecycle, rest: Callable[[], AsgiApp]) -> None:
        self._lifecycle = lifecycle
        self._make_rest = rest
        self._rest: AsgiApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not scope["path"].startswith("/v2/health/"):
            self._lifecycle.touch()
        if self._rest is None:
            self._rest = self._make_rest()
        await self._rest(scope, receive, self._closing(send) if self._lifecycle.draining() else send)

    def _closing(self, send: Send) -> Send:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*cast("Any", message)["headers"], (b"connection", b"close")]}
            await send(message)

        return send_and_close
