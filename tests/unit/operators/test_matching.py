"""Claims about when a live object is as wanted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadline_operators.matching import hash_of, is_as_wanted, is_subset, quantity, with_hash


@pytest.mark.parametrize(
    ("wanted", "live", "expected"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, True, id="what others added does not count"),
        pytest.param({"a": 1}, {"a": 2}, False, id="another value counts"),
        pytest.param({"a": 1}, {}, False, id="a missing value counts"),
        pytest.param({"a": {}, "b": [], "c": "", "d": False, "e": 0}, {}, True, id="empty values may be left out"),
        pytest.param({"a": True}, {}, False, id="true may not be left out"),
        pytest.param({"cpu": "1000m"}, {"cpu": "1"}, True, id="quantities are compared as numbers"),
        pytest.param({"memory": "1024Mi"}, {"memory": "1Gi"}, True, id="binary quantities too"),
        pytest.param({"cpu": "250m"}, {"cpu": "500m"}, False, id="another quantity counts"),
        pytest.param({"port": 80}, {"port": "80"}, True, id="a number is as good as its text"),
        pytest.param({"on": True}, {"on": 1}, True, id="json has one true"),
        pytest.param({"l": [1, 2]}, {"l": [1, 2, 3]}, False, id="a plain list has its length"),
        pytest.param({"l": [1, 2]}, {"l": [2, 1]}, False, id="a plain list has its order"),
        pytest.param({"l": [1]}, {"l": "1"}, False, id="a list is no text"),
        pytest.param({"m": {"a": 1}}, {"m": None}, False, id="null is no mapping"),
    ],
)
def test_an_object_matches_when_all_that_is_wanted_holds(wanted: Any, live: Any, expected: bool) -> None:
    assert is_subset(wanted, live, merges_lists=True) is expected


NAMED = [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]


def test_items_of_a_merged_list_are_found_by_name_and_others_may_be_there() -> None:
    live = [{"name": "injected"}, {"name": "b", "value": "2"}, {"name": "a", "value": "1", "more": True}]
    assert is_subset(NAMED, live, merges_lists=True)
    assert not is_subset(NAMED, live[:2], merges_lists=True)


def test_an_item_added_to_an_atomic_list_counts() -> None:
    assert not is_subset(NAMED, [*NAMED, {"name": "c"}], merges_lists=False)


def test_two_backends_of_one_name_are_compared_by_position() -> None:
    twice = [{"name": "svc", "weight": 1}, {"name": "svc", "weight": 2}]
    assert is_subset(twice, twice, merges_lists=True)
    assert not is_subset(twice, twice[::-1], merges_lists=True)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", "1"), ("500m", "0.5"), ("0.5", "0.5"), ("1e3", "1000"), ("2E", "2e18"), ("1Ki", "1024"), ("5n", "5e-9")],
)
def test_a_quantity_is_a_number(text: str, number: str) -> None:
    assert quantity(text) == quantity(number)


@pytest.mark.parametrize("text", ["", "one", "1 Gi", "1GiB", "10.0.0.1"])
def test_other_text_is_no_quantity(text: str) -> None:
    assert quantity(text) is None


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "n"}, "spec": spec}


def test_an_object_applied_from_another_manifest_does_not_match_even_if_nothing_differs() -> None:
    live = with_hash(deployment(replicas=1, paused=False))
    assert is_subset(deployment(replicas=1), live, merges_lists=True)
    assert not is_as_wanted(with_hash(deployment(replicas=1)), live)


def test_an_object_that_somebody_changed_does_not_match() -> None:
    wanted = with_hash(deployment(replicas=1))
    assert is_as_wanted(wanted, with_hash(deployment(replicas=1)))
    assert not is_as_wanted(wanted, {**wanted, "spec": {"replicas": 2}})


def test_a_manifest_that_carries_its_hash_has_the_same_hash() -> None:
    once = with_hash(deployment(replicas=1))
    assert hash_of(with_hash(once)) == hash_of(once) != hash_of(with_hash(deployment(replicas=2)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(value=json_values, merges_lists=st.booleans())
def test_everything_matches_itself(value: Any, merges_lists: bool) -> None:
    assert is_subset(value, value, merges_lists=merges_lists)
