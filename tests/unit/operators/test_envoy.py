"""Claims about what Envoys say of themselves; the payloads were recorded from Envoy 1.40 behind Envoy Gateway 1.9.1."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from loadline_operators.envoy import (
    CACHE_SECONDS,
    DEADLINE,
    ClusterKey,
    EnvoyPod,
    EnvoyReader,
    Reading,
    RouteKey,
    envoys_of,
    parse_cluster,
    parse_gauges,
    parse_weights,
)
from support import virtual_time

DATA = Path(__file__).parents[2] / "data" / "envoy"
DUMP: dict[str, Any] = json.loads((DATA / "config_dump.json").read_text())
STATS: dict[str, Any] = json.loads((DATA / "stats.json").read_text())
TWO = RouteKey("httproute", "shelltest", "two")
ONE = RouteKey("httproute", "shelltest", "one")


def pod(name: str = "envoy", *, ready: bool = True, terminating: bool = False) -> EnvoyPod:
    return EnvoyPod(name=name, uid=f"uid-{name}", address="10.0.0.1", ready=ready, terminating=terminating)


def test_every_arm_of_a_route_has_its_weight_by_position() -> None:
    assert parse_weights(DUMP)[TWO] == {0: 999_999, 1: 1}


def test_a_single_backend_in_the_second_slot_keeps_its_position() -> None:
    assert parse_weights(DUMP)[RouteKey("httproute", "slot", "r1")] == {1: 1_000_000}


def test_grpc_routes_are_told_apart_from_http_routes_of_the_same_name() -> None:
    weights = parse_weights(DUMP)
    assert weights[RouteKey("grpcroute", "shelltest", "one")] == {0: 1_000_000}
    assert weights[ONE] == {0: 1_000_000}


def test_healthy_hosts_are_counted_per_arm() -> None:
    healthy = parse_gauges(STATS)["membership_healthy"]
    assert (healthy[ClusterKey(TWO, 0, 0)], healthy[ClusterKey(TWO, 0, 1)]) == (2, 1)
    assert healthy[ClusterKey(ONE, 0, 0)] == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("httproute/ns/md/rule/0/backend/1", ClusterKey(RouteKey("httproute", "ns", "md"), 0, 1)),
        ("grpcroute/ns/md/rule/2", ClusterKey(RouteKey("grpcroute", "ns", "md"), 2, 0)),
        ("httproute/ns/md/rule/0-mirror-1", None),
        ("invalid-backend-cluster", None),
        ("prometheus_stats", None),
    ],
)
def test_a_cluster_name_says_route_rule_and_position(name: str, expected: ClusterKey | None) -> None:
    assert parse_cluster(name) == expected


def dump_of(*actions: Mapping[str, Any]) -> dict[str, Any]:
    routes = [{"name": f"httproute/ns/md/rule/0/match/{i}/*", "route": action} for i, action in enumerate(actions)]
    return {"configs": [{"route_config": {"virtual_hosts": [{"routes": routes}]}}]}


def weighted(**clusters: int) -> dict[str, Any]:
    named = [{"name": f"httproute/ns/md/rule/0/backend/{k[1:]}", "weight": w} for k, w in clusters.items()]
    return {"weighted_clusters": {"clusters": named}}


MD = RouteKey("httproute", "ns", "md")


def test_a_route_to_one_cluster_gives_it_everything() -> None:
    assert parse_weights(dump_of({"cluster": "httproute/ns/md/rule/0/backend/0"}))[MD] == {0: 1_000_000}


def test_an_arm_without_endpoints_has_no_weight() -> None:
    action = weighted(b0=999_999)
    action["weighted_clusters"]["clusters"].append({"name": "invalid-backend-cluster", "weight": 1})
    assert parse_weights(dump_of(action))[MD] == {0: 999_999}


def test_matches_of_one_route_that_disagree_acknowledge_nothing() -> None:
    weights = parse_weights(dump_of(weighted(b0=1_000_000), weighted(b0=999_999, b1=1)))[MD]
    assert sum(weights.values()) < 1_000_000


def test_a_route_that_only_redirects_has_no_arms() -> None:
    assert parse_weights(dump_of({}))[MD] == {}


def envoy_manifest(name: str, *, ready: str = "True", deleted: bool = False, ip: str = "10.0.0.1") -> dict[str, Any]:
    metadata = {"name": name, "uid": name} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    status = {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": metadata, "status": status}


def test_envoys_that_are_ready_or_still_drain_are_read_and_others_are_not() -> None:
    pods = [
        envoy_manifest("ready"),
        envoy_manifest("draining", ready="False", deleted=True),
        envoy_manifest("starting", ready="False"),
        envoy_manifest("unplaced", ip=""),
    ]
    assert [each.name for each in envoys_of(pods)] == ["ready", "draining"]


class Envoys:
    """Envoys that answer after a while, or not at all."""

    def __init__(self, *, seconds: float = 0.1, broken: frozenset[str] = frozenset()) -> None:
        self.requests: list[str] = []
        self._seconds = seconds
        self._broken = broken

    async def __call__(self, url: str) -> Mapping[str, Any]:
        self.requests.append(url)
        await asyncio.sleep(self._seconds)
        if any(address in url for address in self._broken):
            raise httpx.ConnectError("refused")
        return DUMP if "config_dump" in url else STATS


def test_those_who_ask_together_share_one_reading() -> None:
    envoys = Envoys()

    async def scene() -> int:
        reader = EnvoyReader(envoys, pods=lambda: [pod()], port=19004)
        readings = await asyncio.gather(*(reader.read() for _ in range(50)))
        return len({id(reading) for reading in readings})

    assert virtual_time.run(scene()) == 1
    assert len(envoys.requests) == 2


def test_a_reading_is_used_again_for_a_moment_and_then_made_anew() -> None:
    async def scene() -> list[bool]:
        reader = EnvoyReader(Envoys(seconds=0), pods=lambda: [pod()], port=19004)
        first = await reader.read()
        second = await reader.read()
        await asyncio.sleep(CACHE_SECONDS)
        third = await reader.read()
        return [first is second, second is third]

    assert virtual_time.run(scene()) == [True, False]


def test_a_reading_that_began_before_a_route_was_written_says_nothing_of_it() -> None:
    async def ask() -> tuple[Reading, Reading, float]:
        reader = EnvoyReader(Envoys(seconds=0), pods=lambda: [pod()], port=19004)
        early = await reader.read()
        await asyncio.sleep(CACHE_SECONDS / 2)
        written = asyncio.get_running_loop().time()
        return early, await reader.read(after=written), written

    early, late, written = virtual_time.run(ask())
    assert early.at < written <= late.at


def test_reading_that_takes_long_is_given_a_rest() -> None:
    async def ask() -> tuple[Reading, Reading]:
        reader = EnvoyReader(Envoys(seconds=CACHE_SECONDS), pods=lambda: [pod()], port=19004)
        return await reader.read(), await reader.read()

    first, second = virtual_time.run(ask())
    assert first is second


def test_an_envoy_that_does_not_answer_has_no_view_and_a_reason() -> None:
    async def scene() -> tuple[set[str], str]:
        reader = EnvoyReader(Envoys(seconds=60), pods=lambda: [pod()], port=19004)
        reading = await reader.read()
        return set(reading.views), reading.problems["uid-envoy"]

    views, problem = virtual_time.run(scene())
    assert views == set()
    assert problem == f"no answer within {DEADLINE:g} s"


def test_one_broken_envoy_does_not_hide_the_others() -> None:
    good, bad = pod("good"), EnvoyPod(name="bad", uid="uid-bad", address="10.0.0.2", ready=True, terminating=False)

    async def scene() -> tuple[set[str], set[str]]:
        reader = EnvoyReader(Envoys(broken=frozenset({"10.0.0.2"})), pods=lambda: [good, bad], port=19004)
        reading = await reader.read()
        return set(reading.views), set(reading.problems)

    assert virtual_time.run(scene()) == ({"uid-good"}, {"uid-bad"})


def test_who_stops_waiting_does_not_take_the_reading_from_the_others() -> None:
    async def scene() -> bool:
        reader = EnvoyReader(Envoys(seconds=1), pods=lambda: [pod()], port=19004)
        impatient = asyncio.create_task(reader.read())
        patient = asyncio.create_task(reader.read())
        await asyncio.sleep(0.5)
        impatient.cancel()
        return bool((await patient).views)

    assert virtual_time.run(scene())
