"""Messages that were right once: bytes and JSON values, damaged a little."""

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 2**31, 2**63, 2**64 - 1, 1.5, -0.0, 1e39, 1e308),
    *("", "x", "\x00", "é", "FP16", "BYTES", [], {}, [[]], [1, 2], [None], {"": {}}, {"b64": "eA=="}),
)
"""Values that somebody could have written there."""
_KEYS = ("parameters", "data", "name", "id", "outputs", "x", "binary_data_size", "b64")


@st.composite
def damaged_bytes(draw: st.DrawFn, right: bytes) -> bytes:
    """The same bytes with a few cut out, put in, changed or said twice."""
    message = bytearray(right)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(message)))
        stop = draw(st.integers(start, min(start + 8, len(message))))
        piece = bytes(message[start:stop])
        message[start:stop] = draw(st.one_of(st.just(b""), st.just(piece * 2), st.binary(min_size=1, max_size=8)))
    return bytes(message)


def damaged_json(right: Any) -> st.SearchStrategy[bytes]:
    """The same JSON value with a few of its parts replaced, taken away, or beside another."""
    return st.builds(lambda rng: json.dumps(damage(right, rng)).encode(), st.randoms(use_true_random=False))


def damage(right: Any, rng: Random) -> Any:
    """A copy of a JSON value with one to three of its parts replaced, taken away, or beside another."""
    message = _copy(right)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(message))
        if places:
            _damage_at(*rng.choice(places), rng)
    return message


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _damage_at(holder: Any, key: Any, rng: Random) -> None:
    what = rng.randrange(3)
    if what == 0:
        holder[key] = _copy(rng.choice(ODD))
    elif what == 1:
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(key, _copy(holder[key]))
    else:
        holder[rng.choice(_KEYS)] = _copy(rng.choice(ODD))


def _copy(value: Any) -> Any:
    """Of its own: what is damaged now must be whole the next time."""
    return json.loads(json.dumps(value))
