"""Does what is known of registry and files lead to the right answer?"""

import pytest
from loadline_contracts.model_uri import PlainFile, RegisteredAlias, RegisteredVersion
from loadline_operators.model_errors import (
    ModelError,
    ModelNotFoundError,
    NotServableError,
    RegistryUnavailableError,
    SourceUnavailableError,
    StoreUnavailableError,
)
from loadline_operators.model_facts import AliasFacts, LastKnown, ModelFacts, answer
from loadline_operators.planning import Resolution

ALIAS = RegisteredAlias(name="iris", alias="champion")
VERSION = RegisteredVersion(name="iris", version="3")
OLD, NEW, OTHER = ("sha256:" + digit * 64 for digit in "012")
LAST = LastKnown(version="3", digest=OLD)
FOUND = LastKnown(version="3", digest=OLD, confirmed=True)
DOWN = RegistryUnavailableError("the registry", "ConnectError")
STORE_DOWN = StoreUnavailableError("a look", "ConnectError")
REFUSED = NotServableError("version 4", "it holds no ONNX model", "Convert it.")
UNASKED = AliasFacts()
TO_3, TO_4 = AliasFacts(aliases={"champion": "3"}), AliasFacts(aliases={"champion": "4"})


def known(aliases: AliasFacts = UNASKED, last: LastKnown | None = None, **models: ModelFacts) -> Resolution:
    return answer(ALIAS, aliases, {name.removeprefix("v"): facts for name, facts in models.items()}, last)


def test_nothing_is_known_before_anybody_answered() -> None:
    assert (known().state, known().digest, known().reason) == ("pending", "", "NotAskedYet")


def test_a_status_from_before_is_passed_on_while_nothing_newer_is_known() -> None:
    assert (known(last=LAST).state, known(last=LAST).digest) == ("pending", OLD)


def test_what_this_operator_found_itself_needs_no_word_of_a_status() -> None:
    found = known(TO_3, FOUND)
    assert (found.state, found.version, found.digest, found.stale) == ("resolved", "3", OLD, False)


def test_an_alias_that_just_moved_leads_nowhere_yet() -> None:
    found = known(TO_4, FOUND)
    assert (found.state, found.digest, found.reason) == ("pending", OLD, "ResolvingModel")
    assert "4" in found.message


def test_a_version_that_is_copied_anew_after_a_restart_is_no_news() -> None:
    found = known(TO_3, LAST, v3=ModelFacts(copying="copying 1 files, 9 bytes"))
    assert (found.state, found.reason) == ("pending", "NotAskedYet")


def test_bytes_that_were_not_compared_yet_are_not_called_the_same() -> None:
    assert known(TO_3, FOUND).changed_digest is None
    assert known(TO_3, LAST, v3=ModelFacts(digest=OLD, changed_digest=None)).changed_digest is None


def test_another_sha256_under_the_same_address_is_another_model() -> None:
    file = PlainFile(uri="https://files.example/iris.onnx", sha256="ab" * 32)
    before = LastKnown(version="sha256:cdcdcdcdcdcd", digest=OLD, confirmed=True)
    away = SourceUnavailableError(file.uri, "HTTP 503")
    found = answer(file, AliasFacts(), {"sha256:abababababab": ModelFacts(error=away)}, before)
    assert (found.state, found.reason) == ("pending", "SourceUnavailable")


def test_an_alias_leads_to_the_digest_of_its_version() -> None:
    found = known(TO_3, v3=ModelFacts(digest=OLD))
    assert (found.state, found.version, found.digest, found.reason, found.stale) == ("resolved", "3", OLD, "", False)


def test_while_the_version_that_an_alias_moved_to_is_copied_the_old_digest_stays() -> None:
    found = known(TO_4, LAST, v4=ModelFacts(copying="copying 1 files, 9 bytes"))
    assert (found.state, found.version, found.digest, found.reason) == ("pending", "3", OLD, "CopyingModel")
    assert found.message == "Version 4: copying 1 files, 9 bytes."


def test_when_the_version_that_an_alias_moved_to_cannot_be_served_the_old_digest_stays() -> None:
    found = known(TO_4, LAST, v4=ModelFacts(error=REFUSED))
    assert (found.state, found.version, found.digest, found.reason) == ("failed", "3", OLD, "NotServable")


@pytest.mark.parametrize("error", [DOWN, STORE_DOWN])
def test_an_alias_that_moved_is_not_called_resolved_because_nobody_answers_for_its_version(error: ModelError) -> None:
    found = known(TO_4, LAST, v4=ModelFacts(error=error))
    assert (found.state, found.digest, found.reason) == ("pending", OLD, error.reason)


def test_a_registry_that_is_down_makes_an_answer_stale() -> None:
    found = known(AliasFacts(aliases={"champion": "3"}, error=DOWN), LAST, v3=ModelFacts(digest=OLD, error=DOWN))
    assert (found.state, found.stale, found.digest, found.reason) == ("resolved", True, OLD, "RegistryUnavailable")


def test_a_registry_that_is_down_from_the_start_leaves_what_the_status_says() -> None:
    found = known(AliasFacts(error=DOWN), LAST)
    assert (found.state, found.stale, found.version, found.digest) == ("resolved", True, "3", OLD)


def test_a_registry_that_is_down_from_the_start_is_the_reason_of_a_new_object() -> None:
    found = known(AliasFacts(error=DOWN))
    assert (found.state, found.digest, found.reason) == ("pending", "", "RegistryUnavailable")


def test_an_object_store_that_is_down_makes_no_answer_stale() -> None:
    found = known(TO_3, LAST, v3=ModelFacts(digest=OLD, error=STORE_DOWN))
    assert (found.state, found.stale, found.reason) == ("resolved", False, "")


def test_an_alias_that_is_gone_fails_and_keeps_the_last_good_digest() -> None:
    found = known(AliasFacts(aliases={"other": "3"}), LAST)
    assert (found.state, found.digest, found.reason) == ("failed", OLD, "AliasNotFound")


def test_a_model_that_is_gone_fails_and_keeps_the_last_good_digest() -> None:
    found = known(AliasFacts(error=ModelNotFoundError("iris", "the registry")), LAST)
    assert (found.state, found.digest, found.reason) == ("failed", OLD, "ModelNotFound")


def test_changed_bytes_are_told_beside_the_digest_that_stands() -> None:
    found = answer(VERSION, AliasFacts(), {"3": ModelFacts(digest=OLD, changed_digest=OTHER)}, None)
    assert (found.state, found.digest, found.changed_digest) == ("resolved", OLD, OTHER)


def test_a_plain_file_is_versioned_by_its_sha256() -> None:
    file = PlainFile(uri="https://files.example/iris.onnx", sha256="ab" * 32)
    found = answer(file, AliasFacts(), {"sha256:abababababab": ModelFacts(digest=NEW)}, None)
    assert (found.version, found.digest) == ("sha256:abababababab", NEW)
