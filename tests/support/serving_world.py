"""A server of the serving runtime inside the test's own event loop, on a port of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from loadline_serving.access_log import AccessLog
from loadline_serving.execution import Executor, Rules
from loadline_serving.http.app import Front
from loadline_serving.http.connection import Paths
from loadline_serving.http.dialects import dialects
from loadline_serving.http.routes import make_app
from loadline_serving.http.server import HttpServer, listen
from loadline_serving.inference import Model, Slot
from loadline_serving.lifecycle import Lifecycle
from loadline_serving.metrics import Recorder
from loadline_serving.pace import Pace
from loadline_serving.service import Arriving, Service
from loadline_serving.session import RuntimeOptions, load
from loadline_serving.warm_up import find_pace
from support.signatures import IDENTITY


class World:
    """A server that listens, and a client that knows where."""

    def __init__(self, service: Service, http: HttpServer, client: httpx.AsyncClient, folder: Path) -> None:
        self.service = service
        self.http = http
        self.client = client
        self.folder = folder

    @property
    def lifecycle(self) -> Lifecycle:
        """Loading, ready, or draining."""
        return self.service.lifecycle

    @property
    def recorder(self) -> Recorder:
        """What was counted."""
        return self.service.recorder

    def serve(self, graph: bytes, *, rows_together: int = 64) -> None:
        """Load a graph for real, and be ready."""
        path = self.folder / "model.onnx"
        path.write_bytes(graph)
        model = load(path, RuntimeOptions())
        self.put(model, find_pace(model, rows_together))

    def put(self, model: Model, pace: Pace) -> None:
        """Be ready with a model."""
        self.service.slot.put(model, pace)
        self.lifecycle.ready()


@asynccontextmanager
async def serving_world(
    folder: Path, *, max_bytes: int, receive_seconds: float = 30.0, rules: Rules | None = None
) -> AsyncIterator[World]:
    """Listen, for as long as the test runs."""
    slot, recorder, lifecycle = Slot(IDENTITY), Recorder(), Lifecycle()
    service = Service(
        slot=slot,
        executor=Executor(slot, rules or Rules(), recorder.stages),
        lifecycle=lifecycle,
        recorder=recorder,
        access_log=AccessLog(0),
        arriving=Arriving((rules or Rules()).bounds.size),
        max_bytes=max_bytes,
        receive_seconds=receive_seconds,
    )
    front = Front(lifecycle, lambda: make_app(slot, lifecycle, recorder))
    http = await listen(front, service, Paths(dialects(slot)), host="127.0.0.1", port=0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http.port}") as client:
        yield World(service, http, client, folder)
    await http.close()
    service.executor.close()
