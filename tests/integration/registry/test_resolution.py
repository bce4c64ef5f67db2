"""Does a reference lead to the right bytes on the store, whatever the registry does?"""

import asyncio
import re
from pathlib import Path

from loadline_operators.model_facts import LastKnown
from loadline_operators.planning import Resolution
from support.mlflow_server import LocalMlflow
from support.resolving import Resolving, has_failed, is_resolved, is_stale, resolving
from support.tcp_gate import gate_to
from support.waiting import wait_for

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
GONE = "sha256:" + "0" * 64


async def test_a_model_logged_plainly_is_copied_without_what_only_mlflow_reads(resolver: Resolving) -> None:
    async with resolver.running():
        found = await resolver.until(is_resolved, "models:/plain/1")
    manifest = resolver.manifest(found.digest)
    assert (found.version, manifest.entry) == ("1", "model.onnx")
    assert [file.path for file in manifest.files] == ["model.onnx"]


async def test_external_tensor_data_comes_along_with_its_model(resolver: Resolving) -> None:
    async with resolver.running():
        found = await resolver.until(is_resolved, "models:/external/1")
    manifest = resolver.manifest(found.digest)
    beside = [file for file in manifest.files if file.path != manifest.entry]
    assert [file.size for file in beside] == [64 * 64 * 4]
    assert beside[0].path.encode() in _entry_of(resolver, found.digest).read_bytes()


async def test_a_pickled_model_is_refused_with_the_way_to_convert_it(resolver: Resolving) -> None:
    async with resolver.running():
        found = await resolver.until(has_failed, "models:/pickled/1")
    assert found.reason == "NotServable"
    assert "sklearn" in found.message
    assert "mlflow.onnx.log_model" in found.message


async def test_a_model_that_is_not_registered_is_not_found(resolver: Resolving) -> None:
    async with resolver.running():
        by_version = await resolver.until(has_failed, "models:/nothing/1")
        by_alias = await resolver.until(has_failed, "models:/nothing@champion")
    assert {by_version.reason, by_alias.reason} == {"ModelNotFound"}


async def test_a_version_that_is_registered_later_is_found_then(resolver: Resolving, registry: LocalMlflow) -> None:
    registry.register("later", b"first")
    async with resolver.running():
        missing = await resolver.until(has_failed, "models:/later/2")
        registry.register("later", b"second")
        found = await resolver.until(is_resolved, "models:/later/2")
    assert missing.reason == "VersionNotFound"
    assert found.version == "2"


async def test_an_alias_that_moves_leads_to_the_other_version(resolver: Resolving, registry: LocalMlflow) -> None:
    for content in (b"one", b"two"):
        registry.register("moving", content)
    registry.set_alias("moving", "champion", "1")
    async with resolver.running():
        first = await resolver.until(is_resolved, "models:/moving@champion")
        registry.set_alias("moving", "champion", "2")
        second = await resolver.until(lambda found: is_resolved(found) and found.version == "2", first.uri)
        registry.set_alias("moving", "champion", "1")
        back = await resolver.until(lambda found: is_resolved(found) and found.version == "1", first.uri)
    assert first.digest != second.digest
    assert (back.version, back.digest) == (first.version, first.digest)


async def test_a_removed_alias_fails_and_the_last_good_digest_stays_known(
    resolver: Resolving, registry: LocalMlflow
) -> None:
    registry.register("removed", b"content")
    registry.set_alias("removed", "champion", "1")
    async with resolver.running():
        before = await resolver.until(is_resolved, "models:/removed@champion")
        registry.delete_alias("removed", "champion")
        after = await resolver.until(has_failed, before.uri)
    assert after.reason == "AliasNotFound"
    assert (after.version, after.digest) == (before.version, before.digest)


async def test_bytes_that_change_under_a_version_are_told_and_the_old_ones_stay(
    resolver: Resolving, registry: LocalMlflow
) -> None:
    registry.register("changed", b"old bytes")
    async with resolver.running():
        before = await resolver.until(is_resolved, "models:/changed/1")
        registry.upload(registry.artifacts("changed", "1"), "model.onnx", b"new bytes, longer")
        after = await resolver.until(has_changed, before.uri)
    assert (after.state, after.digest) == ("resolved", before.digest)
    assert DIGEST.fullmatch(after.changed_digest or "")
    assert after.changed_digest != before.digest
    assert [file.size for file in resolver.manifest(before.digest).files] == [len(b"old bytes")]


async def test_changed_bytes_of_the_same_length_are_found_when_they_are_read_again(
    registry: LocalMlflow, store_folder: Path
) -> None:
    registry.register("same-length", b"old")
    resolver = resolving(registry.url, store_folder, rehash_seconds=0.2)
    async with resolver.running():
        before = await resolver.until(is_resolved, "models:/same-length/1")
        registry.upload(registry.artifacts("same-length", "1"), "model.onnx", b"new")
        after = await resolver.until(has_changed, before.uri)
    assert after.digest == before.digest


async def test_an_operator_that_starts_anew_reads_the_bytes_again_and_finds_that_they_changed(
    registry: LocalMlflow, store_folder: Path
) -> None:
    registry.register("restarted", b"old")
    async with resolving(registry.url, store_folder).running() as resolver:
        before = await resolver.until(is_resolved, "models:/restarted/1")
    registry.upload(registry.artifacts("restarted", "1"), "model.onnx", b"new")
    async with resolving(registry.url, store_folder).running() as resolver:
        after = await resolver.until(has_changed, before.uri)
    assert after.digest == before.digest


async def test_files_that_vanish_from_the_store_are_copied_again(resolver: Resolving) -> None:
    async with resolver.running():
        found = await resolver.until(is_resolved, "models:/plain/1")
        manifest = resolver.manifest(found.digest)
        entry = _entry_of(resolver, found.digest)
        lost = entry.parents[1] / "manifest.json"
        lost.unlink()
        await asyncio.to_thread(wait_for, lost.exists, "the manifest is there again", within=20)
    assert resolver.manifest(found.digest) == manifest


async def test_many_objects_of_one_model_cost_one_question(resolver: Resolving, registry: LocalMlflow) -> None:
    registry.register("popular", b"content")
    registry.set_alias("popular", "champion", "1")
    async with resolver.running():
        for number in range(50):
            resolver.watch("models:/popular@champion", holder=f"team/model-{number}")
        await resolver.until(is_resolved, "models:/popular@champion")
        resolver.asked.clear()
        await asyncio.sleep(1)
    questions = [path for path in resolver.asked if path.endswith("/registered-models/get")]
    assert 1 <= len(questions) <= 8
    assert len(set(resolver.told)) == 51


async def test_nothing_is_asked_for_a_model_that_nobody_wants_any_more(resolver: Resolving) -> None:
    async with resolver.running():
        await resolver.until(is_resolved, "models:/plain/1")
        await resolver.until(has_failed, "models:/nothing/1")
        resolver.asked.clear()
        await asyncio.sleep(0.6)
    assert not [path for path in resolver.asked if "artifacts" in path]


async def test_a_registry_that_goes_away_changes_no_answer_but_makes_it_stale(
    registry: LocalMlflow, store_folder: Path
) -> None:
    registry.register("lasting", b"content")
    registry.set_alias("lasting", "champion", "1")
    async with gate_to(registry.port) as gate, resolving(gate.url, store_folder).running() as resolver:
        before = await resolver.until(is_resolved, "models:/lasting@champion")
        await gate.shut()
        during = await resolver.until(is_stale, before.uri)
        await gate.open()
        after = await resolver.until(is_resolved, before.uri)
    assert during.reason == "RegistryUnavailable"
    assert before.digest == during.digest == after.digest


async def test_a_registry_that_answers_500_is_as_good_as_away(registry: LocalMlflow, store_folder: Path) -> None:
    async with gate_to(registry.port) as gate, resolving(gate.url, store_folder).running() as resolver:
        before = await resolver.until(is_resolved, "models:/plain/1")
        gate.broken = True
        await gate.shut()
        await gate.open()
        during = await resolver.until(is_stale, before.uri)
        unknown = await resolver.until(
            lambda it: it.reason == "RegistryUnavailable", "models:/new/1", holder="team/new"
        )
    assert during.digest == before.digest
    assert "HTTP 500: out of order" in during.message
    assert (unknown.state, unknown.digest) == ("pending", "")


async def test_an_operator_that_starts_without_a_registry_knows_what_was_pinned_and_what_statuses_say(
    registry: LocalMlflow, store_folder: Path
) -> None:
    async with resolving(registry.url, store_folder).running() as resolver:
        before = await resolver.until(is_resolved, "models:/plain/1")
    async with resolving("http://127.0.0.1:1", store_folder).running() as resolver:
        by_pin = await resolver.until(is_stale, before.uri, holder="team/by-version")
        last = LastKnown(version="1", digest=before.digest)
        by_status = await resolver.until(is_stale, "models:/plain@champion", last=last)
    assert by_pin.digest == by_status.digest == before.digest
    assert by_pin.reason == by_status.reason == "RegistryUnavailable"


async def test_lost_files_whose_version_has_other_bytes_now_are_not_replaced(
    resolver: Resolving, registry: LocalMlflow
) -> None:
    registry.register("lost", b"old")
    async with resolver.running():
        before = await resolver.until(is_resolved, "models:/lost/1")
        registry.upload(registry.artifacts("lost", "1"), "model.onnx", b"other")
        (_entry_of(resolver, before.digest).parents[1] / "manifest.json").unlink()
        after = await resolver.until(has_failed, before.uri)
    assert after.reason == "ModelFilesUnavailable"
    assert after.digest == before.digest


async def test_a_model_above_the_limit_is_refused_before_it_is_read(registry: LocalMlflow, store_folder: Path) -> None:
    resolver = resolving(registry.url, store_folder, max_model_bytes=1000)
    async with resolver.running():
        found = await resolver.until(has_failed, "models:/external/1")
    assert found.reason == "ModelTooLarge"


async def test_a_status_that_names_a_digest_counts_until_the_registry_answers(resolver: Resolving) -> None:
    last = LastKnown(version="1", digest=GONE)
    async with resolver.running():
        at_first = resolver.watch("models:/plain/1", last=last)
        found = await resolver.until(is_resolved, "models:/plain/1", last=last)
    assert (at_first.reason, at_first.digest) == ("NotAskedYet", GONE)
    assert found.digest != GONE


def has_changed(found: Resolution) -> bool:
    return bool(found.changed_digest)


def _entry_of(resolver: Resolving, digest: str) -> Path:
    return resolver.store_folder / "models" / digest.removeprefix("sha256:") / "files" / "model.onnx"
