"""How does the process come up, serve, and go?"""

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

from loadline_contracts.conditions import Reason
from loadline_contracts.model_files import FILES_FOLDER, MANIFEST_NAME, ModelManifest
from pydantic import ValidationError

from loadline_serving.access_log import AccessLog
from loadline_serving.admission import Bounds
from loadline_serving.errors import StartupFault
from loadline_serving.execution import Executor, Rules
from loadline_serving.http.app import Front, infer_paths
from loadline_serving.http.asgi import AsgiApp
from loadline_serving.http.server import HttpServer, listen
from loadline_serving.inference import Identity, Slot
from loadline_serving.lifecycle import Lifecycle
from loadline_serving.metrics import Recorder, ServingCollector, exposition
from loadline_serving.pace import Pace
from loadline_serving.probes import ProbeServer, routes
from loadline_serving.protocol.codec import Codec
from loadline_serving.rpc import GrpcServer, InferenceService
from loadline_serving.service import Service
from loadline_serving.session import OnnxModel, RuntimeOptions, load
from loadline_serving.settings import ServeSettings
from loadline_serving.snapshot import snapshot
from loadline_serving.warm_up import find_pace, warm_up

log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def serve(settings: ServeSettings) -> None:
    """Serve until told to stop; a model that cannot be loaded is a StartupFault."""
    lifecycle = Lifecycle()
    _stop_on_signals(lifecycle)
    service = _service(settings, lifecycle)
    slot = service.slot
    try:
        probes = _start_probes(settings, service)
        http, grpc = await _start_servers(settings, service)
    except (OSError, RuntimeError) as error:
        raise StartupFault(Reason.BAD_SETTINGS, f"cannot listen on {settings.host}: {error}") from error
    log.info("Listening", extra={"http": http.port, "grpc": grpc.port, "metrics": probes.port})
    if await _fill(slot, settings, lifecycle):
        await grpc.tell(serving=True)
        lifecycle.ready()
        await lifecycle.stopped()
    await _drain(settings, lifecycle, http, grpc)


def _service(settings: ServeSettings, lifecycle: Lifecycle) -> Service:
    slot = Slot(Identity(name=settings.model_name, version=settings.model_version))
    recorder = Recorder()
    return Service(
        slot=slot,
        codec=Codec(slot),
        executor=Executor(slot, _rules(settings), recorder.stages),
        lifecycle=lifecycle,
        recorder=recorder,
        access_log=AccessLog(settings.log_one_in),
        max_bytes=settings.max_request_bytes,
        receive_seconds=settings.request_timeout_seconds,
    )


async def _start_servers(settings: ServeSettings, service: Service) -> tuple[HttpServer, GrpcServer]:
    front = Front(service.lifecycle, lambda: _other_routes(service))
    http = await listen(front, service, infer_paths(service.slot.identity), host=settings.host, port=settings.http_port)
    grpc = GrpcServer(
        InferenceService(service), settings.host, settings.grpc_port, max_bytes=settings.max_request_bytes
    )
    await grpc.start()
    return http, grpc


def _rules(settings: ServeSettings) -> Rules:
    bounds = Bounds(rows=settings.queue_rows, size=settings.queue_bytes, concurrency=settings.concurrency)
    return Rules(batch_wait=settings.batch_wait_seconds, timeout=settings.request_timeout_seconds, bounds=bounds)


def _other_routes(service: Service) -> AsgiApp:
    # FastAPI takes longer to import than a small model to load: it comes with the first request that needs it.
    from loadline_serving.http.routes import make_app  # noqa: PLC0415

    return make_app(service.slot, service.lifecycle)


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


async def _fill(slot: Slot, settings: ServeSettings, lifecycle: Lifecycle) -> bool:
    """Load and warm the model beside the event loop; False if the order to stop came first."""
    begun = monotonic()
    loading = _in_thread(lambda: _load(settings))
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
            "model": settings.model_name,
            "version": settings.model_version,
            "seconds": round(monotonic() - begun, 3),
            "runs": "in the event loop" if pace.inline else "in a thread",
            "rows_together": pace.rows,
        },
    )
    return True


def _load(settings: ServeSettings) -> tuple[OnnxModel, Pace]:
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
    options = RuntimeOptions(
        threads=settings.threads,
        graph_optimization=settings.graph_optimization,
        device=settings.device,
        memory_arena=settings.memory_arena,
        memory_pattern=settings.memory_pattern,
        io_binding=settings.io_binding,
    )
    model = load(settings.model_dir / FILES_FOLDER / manifest.entry, options)
    warm_up(model)
    return model, find_pace(model, settings.batch_rows)


async def _drain(settings: ServeSettings, lifecycle: Lifecycle, http: HttpServer, grpc: GrpcServer) -> None:
    begun = monotonic()
    log.info("Draining", extra={"quiet_seconds": settings.drain_quiet_seconds})
    await grpc.tell(serving=False)
    quiet = await lifecycle.quiet(quiet_seconds=settings.drain_quiet_seconds, grace_seconds=settings.grace_seconds)
    left = max(begun + settings.grace_seconds - monotonic() - 0.5, 0.1)
    try:
        async with asyncio.timeout(left):
            await asyncio.gather(http.close(), grpc.close(left))
    except TimeoutError:
        log.warning("Ended with requests in flight")
    log.info("Drained", extra={"quiet": quiet, "seconds": round(monotonic() - begun, 3)})


def _stop_on_signals(lifecycle: Lifecycle) -> None:
    def stop(name: str) -> None:
        log.info("Received signal", extra={"signal": name, "first": lifecycle.stop()})

    loop = asyncio.get_running_loop()
    for received in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(received, stop, received.name)


def _in_thread(work: Callable[[], Result]) -> "asyncio.Future[Result]":
    """Run in a daemon thread: unlike an executor's, it does not keep a stopped process from ending."""
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            outcome.set_exception(error)

    Thread(target=run, name="load", daemon=True).start()
    return asyncio.wrap_future(outcome)
