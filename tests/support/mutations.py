"""Messages that were right once: bytes and JSON values, damaged a little."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, -1, 2**31, 2**63, 2**64 - 1, 1.5, -0.0, 1e308, "", "x", "\x00", [], {}, [[]], [None], {"": {}}]
    ),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(-3, 3), max_size=4),
)
"""Values that somebody could have written there."""


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


@st.composite
def damaged_json(draw: st.DrawFn, right: Any) -> bytes:
    """The same JSON value with a few of its parts replaced, taken away, or beside another."""
    message = _copy(right)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(message))
        if not places:
            break
        holder, key = draw(st.sampled_from(range(len(places))).map(places.__getitem__))
        draw(st.sampled_from([_replace, _remove, _add]))(draw, holder, key)
    return json.dumps(message).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _replace(draw: Callable[..., Any], holder: Any, key: Any) -> None:
    holder[key] = _copy(draw(ODD))


def _remove(_: Callable[..., Any], holder: Any, key: Any) -> None:
    del holder[key]


def _add(draw: Callable[..., Any], holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, _copy(holder[key]))
    else:
        holder[draw(st.sampled_from(["parameters", "data", "name", "id", "outputs", "x"]))] = _copy(draw(ODD))


def _copy(value: Any) -> Any:
    """Of its own: what was drawn once is drawn again, and must not be damaged then."""
    return json.loads(json.dumps(value))
