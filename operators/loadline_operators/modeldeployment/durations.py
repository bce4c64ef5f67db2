"""How long is ``1m30s``?"""

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PART: Final = re.compile(r"([0-9]+)(ms|h|m|s)")


def parse_duration(text: str) -> timedelta:
    """Return a Gateway API duration as a timedelta.

    Raises ValueError where the text is not one; the CRD's schema lets none of those in.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write it like 30s or 1m30s")
    return sum((int(number) * _UNITS[unit] for number, unit in parts), timedelta())
