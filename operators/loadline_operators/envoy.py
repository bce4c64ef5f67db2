"""Which weights does each Envoy of the gateway really route by?

Each Envoy has a listener that answers GET of its live configuration and counters and nothing else. A weight counts as
in force when every Envoy that may still take requests shows it; what the Gateway's status says is no evidence.
"""

import asyncio
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import httpx
import structlog
from loadline_contracts.modeldeployment import TOTAL_WEIGHT

from loadline_operators.telemetry import ENVOY_READ_SECONDS, ENVOY_READS

CACHE_SECONDS: Final = 0.4
"""How long a reading serves all who ask; longer when reading takes long, so that half of the time is left."""
DEADLINE: Final = 2.0
CONCURRENCY: Final = 8
ROUTES_PATH: Final = "/config_dump?resource=dynamic_route_configs"
STATS_PATH: Final = (
    "/stats?format=json&type=Gauges"
    "&filter=%5Ecluster%5C.%28httproute%7Cgrpcroute%29/.%2A%5C.%28membership_healthy%7Cupstream_rq_active%29%24"
)
"""`^cluster\\.(httproute|grpcroute)/.*\\.(membership_healthy|upstream_rq_active)$`, encoded."""

_CLUSTER = re.compile(
    r"^(?P<kind>httproute|grpcroute)/(?P<namespace>[^/]+)/(?P<name>[^/]+)/rule/(?P<rule>\d+)(/backend/(?P<backend>\d+))?$"
)
_ROUTE = re.compile(r"^(?P<kind>httproute|grpcroute)/(?P<namespace>[^/]+)/(?P<name>[^/]+)/rule/")
_STAT = re.compile(r"^cluster\.(?P<cluster>.+)\.(?P<gauge>membership_healthy|upstream_rq_active)$")

log = structlog.get_logger(__name__)


class RouteKey(NamedTuple):
    """A route object: `httproute` or `grpcroute`, its namespace and its name."""

    kind: str
    namespace: str
    name: str


class ClusterKey(NamedTuple):
    """One backend of one rule of a route, as Envoy's clusters are named: by position."""

    route: RouteKey
    rule: int
    backend: int


@dataclass(frozen=True, kw_only=True)
class EnvoyPod:
    """An Envoy of our gateway that may take requests."""

    name: str
    uid: str
    address: str
    ready: bool
    terminating: bool


@dataclass(frozen=True, kw_only=True)
class EnvoyView:
    """What one Envoy routes by, and how its backends are."""

    pod: str
    uid: str
    weights: Mapping[RouteKey, Mapping[int, int]]
    """Per route the weight of each backend, by position."""
    healthy: Mapping[ClusterKey, int]
    """Hosts that Envoy deems healthy."""
    active: Mapping[ClusterKey, int]
    """Requests under way."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All Envoys, read at one moment; those that did not answer have no view."""

    at: float
    """When it began, on the event loop's clock."""
    views: Mapping[str, EnvoyView]
    """By pod uid."""
    took: float = 0.0
    problems: Mapping[str, str] = field(default_factory=dict)
    """Why a pod has no view, by its uid."""


def envoys_of(pods: Iterable[Mapping[str, Any]]) -> list[EnvoyPod]:
    """The Envoys among pods that may take requests: those that are ready, and those that still drain."""
    return [envoy for envoy in map(_envoy_of, pods) if envoy.address and (envoy.ready or envoy.terminating)]


def _envoy_of(pod: Mapping[str, Any]) -> EnvoyPod:
    metadata, status = pod["metadata"], pod.get("status", {})
    running = status.get("phase") not in {"Succeeded", "Failed"}
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return EnvoyPod(
        name=metadata["name"],
        uid=metadata["uid"],
        address=status.get("podIP", "") if running else "",
        ready=conditions.get("Ready") == "True",
        terminating="deletionTimestamp" in metadata,
    )


def parse_weights(dump: Mapping[str, Any]) -> dict[RouteKey, dict[int, int]]:
    """The weight of every backend of every route, from `config_dump`.

    Where two matches of one route disagree, the lower weight counts: then no sum is whole, and nothing is
    taken as acknowledged.
    """
    seen: defaultdict[RouteKey, list[dict[int, int]]] = defaultdict(list)
    for route in _routes(dump):
        key = _route_key(route.get("name", ""))
        if key is not None:
            seen[key].append(_shares(route.get("route", {})))
    return {key: _lowest(shares) for key, shares in seen.items()}


def _routes(dump: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for config in dump.get("configs", ()):
        for host in config.get("route_config", {}).get("virtual_hosts", ()):
            yield from host.get("routes", ())


def _route_key(name: str) -> RouteKey | None:
    match = _ROUTE.match(name)
    return None if match is None else RouteKey(match["kind"], match["namespace"], match["name"])


def _shares(action: Mapping[str, Any]) -> dict[int, int]:
    if "cluster" in action:
        cluster = parse_cluster(action["cluster"])
        return {} if cluster is None else {cluster.backend: TOTAL_WEIGHT}
    shares: dict[int, int] = {}
    for entry in action.get("weighted_clusters", {}).get("clusters", ()):
        cluster = parse_cluster(entry["name"])
        # A backend without endpoints is replaced by a cluster of another name: its share is nobody's.
        if cluster is not None:
            shares[cluster.backend] = entry.get("weight", 0)
    return shares


def _lowest(shares: list[dict[int, int]]) -> dict[int, int]:
    backends = {backend for share in shares for backend in share}
    return {backend: min(share.get(backend, 0) for share in shares) for backend in sorted(backends)}


def parse_cluster(name: str) -> ClusterKey | None:
    """What a cluster's name says; `None` for clusters that are no backend of a route."""
    match = _CLUSTER.match(name)
    if match is None:
        return None
    route = RouteKey(match["kind"], match["namespace"], match["name"])
    return ClusterKey(route, int(match["rule"]), int(match["backend"] or 0))


def parse_gauges(stats: Mapping[str, Any]) -> dict[str, dict[ClusterKey, int]]:
    """The gauges of every backend, from `stats?format=json`: by name of the gauge."""
    gauges: dict[str, dict[ClusterKey, int]] = {"membership_healthy": {}, "upstream_rq_active": {}}
    for stat in stats.get("stats", ()):
        match = _STAT.match(stat.get("name", ""))
        cluster = None if match is None else parse_cluster(match["cluster"])
        if match is not None and cluster is not None:
            gauges[match["gauge"]][cluster] = int(stat["value"])
    return gauges


def view_of(pod: EnvoyPod, dump: Mapping[str, Any], stats: Mapping[str, Any]) -> EnvoyView:
    """What one Envoy's two answers say."""
    gauges = parse_gauges(stats)
    return EnvoyView(
        pod=pod.name,
        uid=pod.uid,
        weights=parse_weights(dump),
        healthy=gauges["membership_healthy"],
        active=gauges["upstream_rq_active"],
    )


class Fetch(Protocol):
    """Reads one JSON document."""

    async def __call__(self, url: str) -> Mapping[str, Any]:
        """Read it."""
        ...


def http_fetch(client: httpx.AsyncClient) -> Fetch:
    """Read over HTTP."""

    async def fetch(url: str) -> Mapping[str, Any]:
        response = await client.get(url)
        response.raise_for_status()
        document: Mapping[str, Any] = response.json()
        return document

    return fetch


class EnvoyReader:
    """Reads all Envoys together, once for all who ask at the same time."""

    def __init__(self, fetch: Fetch, *, pods: Callable[[], list[EnvoyPod]], port: int) -> None:
        self._fetch = fetch
        self._pods = pods
        self._port = port
        self._idle = asyncio.Semaphore(CONCURRENCY)
        self._last: Reading | None = None
        self._under_way: asyncio.Task[Reading] | None = None
        self._told: dict[str, str] = {}

    async def read(self, *, after: float = -math.inf) -> Reading:
        """What every Envoy says now, or said within the last moments but not before `after`."""
        while not (last := self._last) or last.at < after or self._is_stale(last):
            if self._under_way is None or self._under_way.done():
                self._under_way = asyncio.create_task(self._read_all(), name="read Envoys")
            # Shielded: who stops waiting must not take the reading from the others.
            reading = await asyncio.shield(self._under_way)
            if reading.at >= after:
                return reading
        return last

    def _is_stale(self, reading: Reading) -> bool:
        return asyncio.get_running_loop().time() - reading.at >= max(CACHE_SECONDS, 2 * reading.took)

    def pods(self) -> list[EnvoyPod]:
        """The Envoys that are to be read."""
        return self._pods()

    async def _read_all(self) -> Reading:
        loop = asyncio.get_running_loop()
        began = loop.time()
        pods = self._pods()
        answers = await asyncio.gather(*(self._read(pod) for pod in pods))
        took = loop.time() - began
        ENVOY_READ_SECONDS.observe(took)
        views = {answer.uid: answer for answer in answers if isinstance(answer, EnvoyView)}
        problems = {pod.uid: answer for pod, answer in zip(pods, answers, strict=True) if isinstance(answer, str)}
        self._tell(pods, problems)
        # Dated when it began: what it shows may be that old.
        self._last = Reading(at=began, took=took, views=views, problems=problems)
        return self._last

    async def _read(self, pod: EnvoyPod) -> EnvoyView | str:
        base = f"http://{_host(pod.address)}:{self._port}"
        try:
            async with asyncio.timeout(DEADLINE), self._idle:
                dump, stats = await asyncio.gather(self._fetch(base + ROUTES_PATH), self._fetch(base + STATS_PATH))
            view = view_of(pod, dump, stats)
        except TimeoutError:
            problem = f"no answer within {DEADLINE:g} s"
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            ENVOY_READS.labels("read").inc()
            return view
        ENVOY_READS.labels("failed").inc()
        return problem

    def _tell(self, pods: list[EnvoyPod], problems: Mapping[str, str]) -> None:
        """Log what is new: many looks a second may meet the same silent Envoy."""
        for pod in pods:
            problem = problems.get(pod.uid, "")
            if problem != self._told.get(pod.uid, ""):
                log.warning(
                    "Read an Envoy", pod=pod.name, terminating=pod.terminating, problem=problem or "none any more"
                )
        self._told = dict(problems)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
