"""Is a live object as the wanted manifest says?

The API server fills in defaults, drops empty values and rewrites quantities; others add fields of their own. An object
matches when everything that the manifest names is there with the same meaning.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from loadline_contracts.labels import APPLIED_HASH

_QUANTITY = re.compile(r"^(?P<number>-?[0-9]+(\.[0-9]*)?|-?\.[0-9]+)(?P<unit>[KMGTPE]i|[numkMGTPE]|[eE]-?[0-9]+)?$")
_UNITS: Final[Mapping[str, Decimal]] = {
    "": Decimal(1),
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
}
_LIST_KEYS: Final = ("name", "mountPath", "topologyKey")
"""Keys by which Kubernetes' own kinds merge lists: others may add items there."""


def with_hash(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with its own hash as an annotation."""
    metadata = manifest["metadata"]
    annotations = {name: value for name, value in metadata.get("annotations", {}).items() if name != APPLIED_HASH}
    bare = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    digest = hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
    return {**bare, "metadata": {**bare["metadata"], "annotations": {**annotations, APPLIED_HASH: digest}}}


def hash_of(manifest: Mapping[str, Any]) -> str:
    """The hash that an object was applied with; empty when it was not."""
    found: str = manifest["metadata"].get("annotations", {}).get(APPLIED_HASH, "")
    return found


def is_as_wanted(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether an object was made from this very manifest, and nothing that it names was changed since."""
    return hash_of(wanted) == hash_of(live) and is_subset(wanted, live, merges_lists=_merges_lists(wanted))


def _merges_lists(manifest: Mapping[str, Any]) -> bool:
    # Lists of the Gateway API and of Envoy Gateway are atomic: an item that somebody added would count.
    return "gateway" not in str(manifest["apiVersion"])


def is_subset(wanted: Any, live: Any, *, merges_lists: bool) -> bool:
    """Whether everything that `wanted` says holds in `live`."""
    if isinstance(wanted, Mapping):
        return _is_subset_of_mapping(wanted, live, merges_lists=merges_lists)
    if isinstance(wanted, str | bytes) or not isinstance(wanted, Sequence):
        return _same(wanted, live)
    if not isinstance(live, Sequence) or isinstance(live, str):
        return not wanted and live is None
    if merges_lists and (key := _list_key(wanted)):
        by_key = {item.get(key): item for item in live if isinstance(item, Mapping)}
        return all(is_subset(item, by_key.get(item[key]), merges_lists=merges_lists) for item in wanted)
    return len(wanted) == len(live) and all(
        is_subset(one, other, merges_lists=merges_lists) for one, other in zip(wanted, live, strict=True)
    )


def _is_subset_of_mapping(wanted: Mapping[str, Any], live: Any, *, merges_lists: bool) -> bool:
    if not isinstance(live, Mapping):
        return not wanted and live is None
    return all(is_subset(value, live.get(name), merges_lists=merges_lists) for name, value in wanted.items())


def _list_key(items: Sequence[Any]) -> str | None:
    for key in _LIST_KEYS:
        names = [item.get(key) for item in items if isinstance(item, Mapping)]
        if names and len(names) == len(items) and None not in names and len(set(names)) == len(names):
            return key
    return None


def _same(wanted: Any, live: Any) -> bool:
    if wanted == live:
        return True
    if live is None:
        # Empty values are left out of what the API server stores.
        return not wanted
    if isinstance(wanted, str | int) and isinstance(live, str | int) and not isinstance(wanted, bool):
        number = quantity(str(wanted))
        return number is not None and number == quantity(str(live))
    return False


def quantity(text: str) -> Decimal | None:
    """The number that a Kubernetes quantity stands for; `None` when it is none."""
    match = _QUANTITY.match(text)
    if match is None:
        return None
    unit = match["unit"] or ""
    if unit[:1] in {"e", "E"} and len(unit) > 1 and unit != "Ei":
        return Decimal(f"{match['number']}{unit}")
    return Decimal(match["number"]) * _UNITS[unit]
