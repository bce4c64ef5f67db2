"""How does the process come up, serve, and go?"""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from loadline_contracts.conditions import Reason
from loadline_contracts.model_files import FILES_FOLDER, MANIFEST_NAME, ModelManifest
from pydantic import ValidationError

from loadline_serving.access_log import AccessLog
from loadline_serving.admission import Bounds
from loadline_serving.aside import aside
from loadline_serving.errors import StartupFault
from loadline_serving.execution import Executor, Rules
from loadline_serving.http.app import Front
from loadline_serving.http.asgi import AsgiApp
from loadline_serving.http.connection import Paths
from loadline_serving.http.dialects import dialects
from loadline_serving.http.server import HttpServer, listen
from loadline_serving.inference import Identity, Model, Slot
from loadline_serving.lifecycle import MIN_QUIET_SECONDS, Lifecycle
from loadline_serving.metrics import Recorder, ServingCollector, exposition
from loadline_serving.pace import Pace
from loadline_serving.probes import ProbeServer, routes
from loadline_serving.rpc import GrpcServer, InferenceService
from loadline_serving.service import Arriving, Service
from loadline_serving.session import OnnxModel, RuntimeOptions, load
from loadline_serving.settings import ServeSettings
from loadline_serving.snapshot import snapshot
from loadline_serving.warm_up import find_pace, warm_up

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports that were got."""

    http: int
    grpc: int
    metrics: int


def _unheard(*_: object) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is otherwise where no pod is around the process."""

    entry: Path | None = None
    """The ONNX file; None: the one that the manifest in the model's folder names."""
    min_quiet_seconds: float = MIN_QUIET_SECONDS
    """Without requests for so long at least, draining goes on to close connections."""
    on_ready: Callable[[Model, Ports], None] = _unheard
    """Told once, when requests are answered."""
    on_stop: Callable[[bool], None] = _unheard
    """Told of each signal to stop, and whether it was the first."""


POD = Surroundings()


async def serve(settings: ServeSettings, around: Surroundings = POD) -> None:
    """Serve until told to stop; a model that cannot be loaded is a StartupFault."""
    lifecycle = Lifecycle()
    _stop_on_signals(lifecycle, around.on_stop)
    service = _service(settings, lifecycle)
    slot = service.slot
    front = Front(lifecycle, lambda: _other_routes(service))
    try:
        probes = _start_probes(settings, service)
        http, grpc = await _start_servers(settings, service, front)
    except (OSError, RuntimeError) as error:
        raise StartupFault(Reason.BAD_SETTINGS, f"cannot listen on {settings.host}: {error}") from error
    ports = Ports(http=http.port, grpc=grpc.port, metrics=probes.port)
    log.info("Listening", extra={"http": ports.http, "grpc": ports.grpc, "metrics": ports.metrics})
    if await _fill(slot, lifecycle, lambda: _load(settings, around.entry, front)):
        await grpc.tell(serving=True)
        lifecycle.ready()
        around.on_ready(slot.get(), ports)
        await lifecycle.stopped()
    await _drain(settings, around, lifecycle, http, grpc)


def _service(settings: ServeSettings, lifecycle: Lifecycle) -> Service:
    slot = Slot(Identity(name=settings.model_name, version=settings.model_version))
    recorder = Recorder()
    return Service(
        slot=slot,
        executor=Executor(slot, _rules(settings), recorder.stages),
        lifecycle=lifecycle,
        recorder=recorder,
        access_log=AccessLog(settings.log_one_in),
        arriving=Arriving(settings.queue_bytes),
        max_bytes=settings.max_request_bytes,
        receive_seconds=settings.request_timeout_seconds,
    )


async def _start_servers(settings: ServeSettings, service: Service, front: Front) -> tuple[HttpServer, GrpcServer]:
    http = await listen(front, service, Paths(dialects(service.slot)), host=settings.host, port=settings.http_port)
    grpc = GrpcServer(
        InferenceService(service), settings.host, settings.grpc_port, max_bytes=settings.max_request_bytes
    )
    await grpc.start()
    return http, grpc


def _rules(settings: ServeSettings) -> Rules:
    bounds = Bounds(rows=settings.queue_rows, size=settings.queue_bytes, concurrency=settings.concurrency)
    return Rules(batch_wait=settings.batch_wait_seconds, timeout=settings.request_timeout_seconds, bounds=bounds)


def _other_routes(service: Service) -> AsgiApp:
    # FastAPI takes longer to import than all else: who asks whether the server is alive need not wait for it.
    from loadline_serving.http.routes import make_app  # noqa: PLC0415

    return make_app(service.slot, service.lifecycle, service.recorder)


def _start_probes(settings: ServeSettings, service: Service) -> ProbeServer:
    labels = {
        "model": settings.model_name,
        "version": settings.model_version,
        "revision": settings.revision,
    }
    info = {
        "namespace": settings.model_namespace,
        "digest": settings.model_digest or "",
        "pod": settings.pod_name,
    }
    collector = ServingCollector(
        service.recorder,
        service.executor,
        labels,
        info,
        ready=lambda: service.lifecycle.wants_requests,
        dropped=lambda: service.access_log.dropped,
    )
    server = ProbeServer(
        routes(service.lifecycle, exposition(collector), snapshot(service, settings.revision)),
        settings.host,
        settings.metrics_port,
    )
    server.start()
    return server


async def _fill(slot: Slot, lifecycle: Lifecycle, load_it: Callable[[], tuple[OnnxModel, Pace]]) -> bool:
    """Load and warm the model beside the event loop; False if the order to stop came first."""
    begun = monotonic()
    loading = asyncio.wrap_future(aside(load_it))
    stopping = asyncio.ensure_future(lifecycle.stopped())
    either: list[asyncio.Future[Any]] = [loading, stopping]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        return False
    stopping.cancel()
    model, pace = loading.result()
    slot.put(model, pace)
    log.info(
        "Loaded model",
        extra={
            "model": slot.identity.name,
            "version": slot.identity.version,
            "seconds": round(monotonic() - begun, 3),
            "runs": "in the event loop" if pace.inline else "in a thread",
            "rows_together": pace.rows,
        },
    )
    return True


def _load(settings: ServeSettings, entry: Path | None, front: Front) -> tuple[OnnxModel, Pace]:
    options = RuntimeOptions(
        threads=settings.threads,
        graph_optimization=settings.graph_optimization,
        device=settings.device,
        memory_arena=settings.memory_arena,
        memory_pattern=settings.memory_pattern,
        io_binding=settings.io_binding,
    )
    model = load(entry or _entry_of_manifest(settings), options)
    warm_up(model)
    pace = find_pace(model, settings.batch_rows)
    # Later it would hold up whoever waits for an answer then.
    front.prepare()
    return model, pace


def _entry_of_manifest(settings: ServeSettings) -> Path:
    manifest_path = settings.model_dir / MANIFEST_NAME
    try:
        manifest = ModelManifest.model_validate_json(manifest_path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StartupFault(
            Reason.MODEL_FILES_UNAVAILABLE, f"cannot read {manifest_path}; run fetch first: {error}"
        ) from error
    if settings.model_digest and manifest.digest != settings.model_digest:
        raise StartupFault(
            Reason.DIGEST_MISMATCH, f"{manifest_path} has digest {manifest.digest}, not {settings.model_digest}"
        )
    return settings.model_dir / FILES_FOLDER / manifest.entry


async def _drain(
    settings: ServeSettings, around: Surroundings, lifecycle: Lifecycle, http: HttpServer, grpc: GrpcServer
) -> None:
    begun = monotonic()
    log.info("Draining", extra={"quiet_seconds": settings.drain_quiet_seconds})
    await grpc.tell(serving=False)
    quiet = await lifecycle.quiet(
        quiet_seconds=settings.drain_quiet_seconds,
        grace_seconds=settings.grace_seconds,
        at_least=around.min_quiet_seconds,
    )
    left = max(begun + settings.grace_seconds - monotonic() - 0.5, 0.1)
    try:
        async with asyncio.timeout(left):
            await asyncio.gather(http.close(), grpc.close(left))
    except TimeoutError:
        log.warning("Ended with requests in flight")
    log.info("Drained", extra={"quiet": quiet, "seconds": round(monotonic() - begun, 3)})


def _stop_on_signals(lifecycle: Lifecycle, told: Callable[[bool], None]) -> None:
    def stop(name: str) -> None:
        first = lifecycle.stop()
        log.info("Received signal", extra={"signal": name, "first": first})
        told(first)

    loop = asyncio.get_running_loop()
    for received in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(received, stop, received.name)
