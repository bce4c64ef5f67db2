"""Which HTTP request goes where: what runs the model is answered on the spot, the rest through FastAPI."""

import re
from collections.abc import Callable
from typing import Any, cast

from loadline_serving.http.asgi import AsgiApp, Message, Receive, Scope, Send
from loadline_serving.lifecycle import Lifecycle

_ORIGINAL_PATH = b"x-envoy-original-path"
_PLAIN_PATH = re.compile(r"(/[\w.~-]+)*", re.ASCII)


class Front:
    """The ASGI application."""

    def __init__(self, lifecycle: Lifecycle, rest: Callable[[], AsgiApp]) -> None:
        self._lifecycle = lifecycle
        self._make_rest = rest
        self._rest: AsgiApp | None = None

    def prepare(self) -> None:
        """Make the application, if there is none yet: it takes too long for a moment when others wait for answers."""
        if self._rest is None:
            self._rest = self._make_rest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not scope["path"].startswith("/v2/health/"):
            self._lifecycle.touch()
        self.prepare()
        if before := _path_before(scope):
            scope["root_path"], scope["path"] = before, before + scope["path"]
        await cast("AsgiApp", self._rest)(scope, receive, self._closing(send) if self._lifecycle.draining() else send)

    def _closing(self, send: Send) -> Send:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*cast("Any", message)["headers"], (b"connection", b"close")]}
            await send(message)

        return send_and_close


def _path_before(scope: Scope) -> str:
    """What the gateway took off the path: links on pages must have it."""
    for name, value in scope["headers"]:
        if name == _ORIGINAL_PATH:
            before = value.partition(b"?")[0].decode("latin-1").removesuffix(scope["path"])
            # It goes into a page: only what needs no escaping there.
            return before if _PLAIN_PATH.fullmatch(before) else ""
    return ""
