"""Claims about finding what a watch has missed."""

import asyncio
from typing import Any

from loadline_operators.cache import Cache, Change, Key
from loadline_operators.errors import UnavailableError
from loadline_operators.sweep import AFTER_RELIST, PERIOD, STALE_AFTER, Sweeper
from support import virtual_time


def service(name: str, *, version: int = 1) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "labels": {"loadline.dev/model-deployment": "md"},
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"version": version}}


class World:
    """A list, a cache, and those who were woken."""

    def __init__(self, *listed: dict[str, Any]) -> None:
        self.listed = list(listed)
        self.lists = 0
        self.away = False
        self.woken: list[Change] = []
        self.cache = Cache()
        self.sweeper = Sweeper(
            api=self, cache=self.cache, wake=self.woken.append, selectors={"Service": "a=b"}, namespaces=(None,)
        )

    async def list(self, kind: str, *, namespace: str | None = None, label_selector: str = "") -> list[dict[str, Any]]:
        assert (kind, namespace, label_selector) == ("Service", None, "a=b")
        self.lists += 1
        if self.away:
            raise UnavailableError(verb="list", target="services", code="503", message="away")
        return self.listed

    def sweep(self) -> int:
        return asyncio.run(self.sweeper.sweep("Service"))


def test_what_the_watch_brought_needs_no_repair() -> None:
    world = World(service("a"))
    world.cache.put(service("a"))
    assert world.sweep() == 0
    assert world.woken == []


def test_an_object_that_was_deleted_unseen_is_removed_and_its_owner_woken() -> None:
    world = World()
    world.cache.put(service("a"))
    assert world.sweep() == 1
    assert world.cache.owned(Key(namespace="ns", name="md")) == []
    assert len(world.woken) == 1


def test_an_object_that_changed_unseen_is_taken_in() -> None:
    world = World(service("a", version=2), service("new"))
    world.cache.put(service("a", version=1))
    assert world.sweep() == 2


def test_what_came_while_the_list_was_on_its_way_is_not_taken_for_deleted() -> None:
    world = World()
    original = world.list

    async def list_while_something_comes(kind: str, **options: Any) -> list[dict[str, Any]]:
        answer = await original(kind, **options)
        world.cache.put(service("a"))
        return answer

    world.list = list_while_something_comes  # type: ignore[method-assign]
    assert world.sweep() == 0


def test_a_watch_that_misses_something_every_time_is_called_stale() -> None:
    world = World()
    for version in range(1, STALE_AFTER + 1):
        assert world.sweeper.stale_kinds() == ()
        world.listed = [service("a", version=version)]
        world.sweep()
    assert world.sweeper.stale_kinds() == ("Service",)
    world.sweep()
    assert world.sweeper.stale_kinds() == ()


async def run(world: World, *, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await world.sweeper.run()
    except TimeoutError:
        return


def test_every_kind_is_listed_from_time_to_time_even_if_a_list_fails() -> None:
    world = World()
    world.away = True
    virtual_time.run(run(world, seconds=5 * PERIOD))
    assert 5 <= world.lists <= 7


def test_a_kind_whose_watch_began_anew_is_listed_soon() -> None:
    world = World()

    async def scene() -> None:
        asyncio.get_running_loop().call_later(60, world.sweeper.soon, "Service")
        await run(world, seconds=60 + AFTER_RELIST + 1)

    virtual_time.run(scene())
    assert world.lists == 2


def test_everything_is_listed_once_soon_after_a_replica_comes_to_lead() -> None:
    world = World()
    virtual_time.run(run(world, seconds=3 * AFTER_RELIST))
    assert world.lists == 1
