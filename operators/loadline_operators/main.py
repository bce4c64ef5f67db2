"""How do the parts of the operator become one process?

    watches (kopf) ──► cache ──► queue ──► look: observe, plan, report, apply
                         ▲                   │
    Envoys, registry ────┴───────────────────┘         lease: only its holder looks and writes

Every replica watches, so that a standby can take over at once; the looks, and the copying of models, begin when the
lease is won. Who loses the lease ends on the spot.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import kopf
import prometheus_client
import structlog

from loadline_operators.cache import Cache, Key
from loadline_operators.cluster import KINDS, Cluster, Request, Transport
from loadline_operators.envoy import DEADLINE as ENVOY_DEADLINE
from loadline_operators.envoy import EnvoyReader, http_fetch
from loadline_operators.errors import ApiError, NotFoundError
from loadline_operators.health import Health, Pulse, serve
from loadline_operators.lease import ClusterLease, Elector, boot_clock
from loadline_operators.model_sources import BucketOptions, https_client
from loadline_operators.model_store import ModelStore, StoreOptions
from loadline_operators.modeldeployment.handlers import SELECTORS, Wakes, configure, register
from loadline_operators.modeldeployment.observe import Observer, envoy_pods
from loadline_operators.modeldeployment.plan import plan
from loadline_operators.planning import GatewaySettings, PlanSettings, StoreSettings
from loadline_operators.reconcile import Reconciler
from loadline_operators.registry import Registry, RegistryOptions
from loadline_operators.resolution import Resolver, ResolverOptions
from loadline_operators.settings import Settings
from loadline_operators.sweep import Sweeper
from loadline_operators.telemetry import configure_logging
from loadline_operators.work_queue import WorkQueue

ENVOY_POLL: Final = 2.0
"""How often Envoys are listed where their namespace is not watched."""
KINDS_POLL: Final = 2.0

log = structlog.get_logger(__name__)


def plan_settings(settings: Settings) -> PlanSettings:
    """What plans need to know of the operator's settings."""
    return PlanSettings(
        namespace=settings.namespace,
        serving_image=settings.serving_image,
        serving_gpu_image=settings.serving_gpu_image,
        gateway=GatewaySettings(
            name=settings.gateway_name,
            namespace=settings.gateway_namespace,
            url=settings.gateway_url.rstrip("/"),
            grpc_domain=settings.grpc_domain,
            envoy_namespace=settings.envoy_namespace,
        ),
        store=StoreSettings(
            url=settings.store_url,
            endpoint=settings.store_endpoint,
            region=settings.store_region,
            reader_access_key_id=settings.store_reader_access_key_id,
            reader_secret_access_key=settings.store_reader_secret_access_key.get_secret_value(),
            own=settings.store_own,
            extra_egress=settings.model_extra_egress,
        ),
        drain_grace=timedelta(seconds=settings.drain_grace_seconds),
        progress_deadline=timedelta(seconds=settings.progress_deadline_seconds),
        surge_deadline=timedelta(seconds=settings.surge_deadline_seconds),
    )


def make_resolver(settings: Settings, on_change: Callable[[str], None]) -> Resolver:
    """What finds out which bytes a model's name stands for."""
    options = RegistryOptions(
        url=settings.mlflow_url,
        token=settings.mlflow_token.get_secret_value(),
        username=settings.mlflow_username,
        password=settings.mlflow_password.get_secret_value(),
    )
    buckets = BucketOptions(
        endpoint=settings.source_endpoint,
        region=settings.source_region,
        access_key_id=settings.source_access_key_id,
        secret_access_key=settings.source_secret_access_key.get_secret_value(),
    )
    store = StoreOptions(url=settings.store_url, endpoint=settings.store_endpoint, region=settings.store_region)
    client = options.client()
    return Resolver(
        registry=Registry(client, options, buckets),
        store=ModelStore(store.open()),
        client=https_client(settings.ca_bundle),
        buckets=buckets,
        options=ResolverOptions(poll_seconds=settings.poll_seconds, max_model_bytes=settings.max_model_bytes),
        on_change=on_change,
    )


@dataclass(kw_only=True)
class Flags:
    """What has happened so far."""

    synced: asyncio.Event
    elected: asyncio.Event
    stop: asyncio.Event


class Operator:
    """One replica."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._flags = Flags(synced=asyncio.Event(), elected=asyncio.Event(), stop=asyncio.Event())
        self._loop = asyncio.get_running_loop()
        self._cache = Cache()
        me = f"{settings.pod_name}_{uuid4().hex}"
        self._lease_transport = Transport.login(connections=2)
        self._elector = Elector(
            ClusterLease(sender=self._lease_transport, namespace=settings.namespace, name=settings.lease_name),
            me=me,
            on_elected=self._win,
            on_lost=die,
        )
        self._cluster = Cluster(
            transport=Transport.login(), may_write=self._elector.may_write, instance=settings.pod_name
        )
        self._queue: WorkQueue[Key] = WorkQueue(self._look, all_keys=self._cache.parents, workers=settings.workers)
        self._wakes = Wakes(
            cache=self._cache,
            wake=self._queue.add,
            gateway_name=settings.gateway_name,
            gateway_namespace=settings.gateway_namespace,
            now=time.time,
            synced=self._flags.synced.set,
            relisted=self._relisted,
        )
        self._sweeper = Sweeper(
            api=self._cluster,
            cache=self._cache,
            wake=self._wakes.take,
            selectors=SELECTORS,
            namespaces=settings.watch_namespaces or (None,),
        )
        self._resolver = make_resolver(settings, self._resolved)
        self._http = httpx.AsyncClient(timeout=ENVOY_DEADLINE, trust_env=False)
        self._reconciler = self._make_reconciler()
        self._pulse = Pulse()

    def _make_reconciler(self) -> Reconciler:
        settings = self._settings
        envoys = EnvoyReader(
            http_fetch(self._http),
            pods=lambda: envoy_pods(
                self._cache,
                name=settings.gateway_name,
                namespace=settings.gateway_namespace,
                envoy_namespace=settings.envoy_namespace,
            ),
            port=settings.envoy_read_only_port,
        )
        return Reconciler(
            cache=self._cache,
            api=self._cluster,
            observer=Observer(cache=self._cache, envoys=envoys, resolutions=self._resolver),
            make_plan=plan,
            settings=plan_settings(settings),
            forget=self._forget,
        )

    async def run(self) -> None:
        """Run until told to stop."""
        self._take_signals()
        prometheus_client.start_http_server(self._settings.metrics_port)
        end_health = await serve(self._health().app(), self._settings.health_port)
        tasks = [
            self._spawn(self._pulse.beat(), name="pulse"),
            self._spawn(self._watch(), name="watches"),
            self._spawn(self._lead(), name="leader"),
            self._spawn(self._follow_envoys(), name="Envoys"),
        ]
        stopping = asyncio.create_task(self._flags.stop.wait(), name="stop")
        self._elector.start()
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        # First of all the lease: the other replica goes on while this one still tidies up.
        await asyncio.to_thread(self._elector.release)
        await end_health()
        for task in done - {stopping}:
            error = task.exception()
            log.error("Ended because a part of the operator did", part=task.get_name(), error=repr(error))
        sys.stdout.flush()
        # At once: kopf's own farewell takes seconds, and nothing is left to be saved.
        os._exit(0 if stopping in done else 1)

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._flags.stop.set)

    def _spawn(self, part: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        return asyncio.create_task(part, name=name)

    def _health(self) -> Health:
        return Health(
            pulse=self._pulse,
            queue_wait=lambda: self._queue.oldest_wait() if self._flags.elected.is_set() else 0.0,
            lease_silence=lambda: boot_clock() - self._elector.last_turn,
            stale_kinds=self._sweeper.stale_kinds,
            is_synced=self._flags.synced.is_set,
        )

    async def _watch(self) -> None:
        await self._await_kinds()
        registry = kopf.OperatorRegistry()
        register(registry, self._wakes)
        kopf.on.login(registry=registry)(kopf.login_via_client)
        options = kopf.OperatorSettings()
        configure(options)
        namespaces = self._settings.watch_namespaces
        await kopf.operator(
            registry=registry,
            settings=options,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
        )
        self._flags.stop.set()

    async def _await_kinds(self) -> None:
        """Wait until the API server knows every kind that is watched: kopf looks for them only once."""
        for name in SELECTORS:
            while (problem := await self._kind_problem(name)) is not None:
                log.warning("Waits for a kind", kind=name, problem=problem)
                await asyncio.sleep(KINDS_POLL)

    async def _kind_problem(self, name: str) -> str | None:
        namespace = next(iter(self._settings.watch_namespaces), None)
        request = Request(
            verb="list",
            target=name,
            resource=KINDS[name].plural,
            method="GET",
            path=KINDS[name].path(namespace),
            query=(("limit", "1"),),
        )
        try:
            await asyncio.to_thread(self._lease_transport.send, request)
        except NotFoundError:
            return "its CustomResourceDefinition is not installed"
        except ApiError as error:
            return str(error)
        return None

    async def _lead(self) -> None:
        """Look at objects and follow their models, once the lease is won and everything was listed."""
        await self._flags.synced.wait()
        # kopf takes the signals when it starts, and takes its time when one comes: the lease goes first.
        self._take_signals()
        await self._flags.elected.wait()
        for key in self._cache.parents():
            self._queue.add(key)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resolver.run(), name="resolver")
            group.create_task(self._queue.run(), name="queue")
            group.create_task(self._sweeper.run(), name="sweeper")

    async def _follow_envoys(self) -> None:
        """List the Envoys where their namespace is none of those that are watched."""
        namespaces = self._settings.watch_namespaces
        place = self._settings.envoy_namespace
        while namespaces and place not in namespaces:
            try:
                await self._sweeper.sweep_place("Pod", place)
            except ApiError as error:
                log.warning("Could not list the Envoys", namespace=place, error=str(error))
            await asyncio.sleep(ENVOY_POLL)
        await asyncio.Event().wait()

    async def _look(self, key: Key) -> Any:
        return await self._reconciler.look(key)

    def _win(self) -> None:
        """Called on the lease's thread."""
        self._loop.call_soon_threadsafe(self._flags.elected.set)

    def _relisted(self, kind: str) -> None:
        if self._flags.elected.is_set():
            self._sweeper.soon(kind)

    def _resolved(self, holder: str) -> None:
        namespace, _, name = holder.partition("/")
        self._queue.add(Key(namespace=namespace, name=name))

    def _forget(self, key: Key) -> None:
        self._resolver.forget(str(key))
        self._queue.forget(key)


def die(reason: str) -> None:
    """End the process on the spot: another replica may write now, so nothing here may go on."""
    log.error("Lost the lease", reason=reason)
    sys.stdout.flush()
    os._exit(1)


def main() -> None:
    """Run the operator."""
    settings = Settings()
    configure_logging(settings.log_level)

    async def run() -> None:
        await Operator(settings).run()

    asyncio.run(run())
