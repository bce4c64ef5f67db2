"""How does the process come up, serve, and go?"""

import asyncio
import functools
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

from loadline_serving.errors import StartupFault
from loadline_serving.execution import Executor
from loadline_serving.http.app import Front
from loadline_serving.http.infer import AsgiApp, InferEndpoint
from loadline_serving.http.predict import endpoints
from loadline_serving.http.server import HttpServer, listen
from loadline_serving.inference import Identity, Slot
from loadline_serving.lifecycle import Lifecycle
from loadline_serving.metrics import Recorder, ServingCollector, exposition
from loadline_serving.probes import ProbeServer, routes
from loadline_serving.rpc import GrpcServer, InferenceService
from loadline_serving.session import OnnxModel, RuntimeOptions, load
from loadline_serving.settings import ServeSettings

log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def serve(settings: ServeSettings) -> None:
    """Serve until told to stop; a model that cannot be loaded is a StartupFault."""
    lifecycle = Lifecycle()
    _stop_on_signals(lifecycle)
    slot = Slot(Identity(name=settings.model_name, version=settings.model_version))
    recorder = Recorder()
    try:
        probes = _start_probes(settings, lifecycle, recorder)
        http, grpc = await _start_servers(settings, slot, lifecycle, recorder)
    except (OSError, RuntimeError) as error:
        raise StartupFault(Reason.BAD_SETTINGS, f"cannot listen on {settings.host}: {error}") from error
    log.info("Listening", extra={"http": http.port, "grpc": grpc.port, "metrics": probes.port})
    if await _fill(slot, settings, lifecycle):
        await grpc.tell(serving=True)
        lifecycle.ready()
        await lifecycle.stopped()
    await _drain(settings, lifecycle, http, grpc)


async def _start_servers(
    settings: ServeSettings, slot: Slot, lifecycle: Lifecycle, recorder: Recorder
) -> tuple[HttpServer, GrpcServer]:
    executor = Executor(slot)
    infer = InferEndpoint(slot, executor, recorder, max_bytes=settings.max_request_bytes, closing=lifecycle.draining)
    limits: dict[str, Any] = {"max_bytes": settings.max_request_bytes, "closing": lifecycle.draining}
    predict = endpoints(slot, executor, recorder, **limits)
    rest = functools.partial(_other_routes, slot, lifecycle, recorder)
    front = Front(slot.identity, infer, lifecycle, rest, predict=predict)
    http = await listen(front, settings.host, settings.http_port)
    service = InferenceService(slot, executor, lifecycle, recorder)
    grpc = GrpcServer(service, settings.host, settings.grpc_port, max_bytes=settings.max_request_bytes)
    await grpc.start()
    return http, grpc


def _other_routes(slot: Slot, lifecycle: Lifecycle, recorder: Recorder) -> AsgiApp:
    # FastAPI takes longer to import than a small model to load: it comes with the first request that needs it.
    from loadline_serving.http.routes import make_app  # noqa: PLC0415

    return make_app(slot, lifecycle, recorder)


def _start_probes(settings: ServeSettings, lifecycle: Lifecycle, recorder: Recorder) -> ProbeServer:
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
    collector = ServingCollector(recorder, labels, info, lambda: lifecycle.wants_requests)
    server = ProbeServer(routes(lifecycle, exposition(collector)), settings.host, settings.metrics_port)
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
    slot.put(loading.result())
    log.info(
        "Loaded model",
        extra={
            "model": settings.model_name,
            "version": settings.model_version,
            "seconds": round(monotonic() - begun, 3),
        },
    )
    return True


def _load(settings: ServeSettings) -> OnnxModel:
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
    options = RuntimeOptions(threads=settings.threads, graph_optimization=settings.graph_optimization)
    model = load(settings.model_dir / FILES_FOLDER / manifest.entry, options)
    model.warm_up()
    return model


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
