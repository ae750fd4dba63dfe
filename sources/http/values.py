"""Values of a cursor: how they are kept, and which of two comes later."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeAlias

from flowspec.errors import RecordError

__all__ = ["Rank", "plain", "rank"]

Rank: TypeAlias = "tuple[str, Any]"
"""What kind of value it is, and what stands for it in comparisons with others of its kind."""

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?)?"
)
_MOST = 2**64


def plain(value: Any) -> Any:
    """A value as it is kept: a number or a text.

    Raises:
        RecordError: it has no order.
    """
    if isinstance(value, datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return zoned.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value == "":
        msg = f"a cursor is a number or a text, not {'an empty text' if value == '' else type(value).__name__}"
        raise RecordError(msg)
    if not isinstance(value, str) and not (math.isfinite(value) and abs(value) < _MOST):
        msg = "the number is too large for a cursor; make a text of it that has leading zeros"
        raise RecordError(msg)
    return value


def rank(value: Any) -> Rank:
    """The order of a value: numbers by size, texts that are times by the moment, other texts by their characters.

    A time without a zone is one of UTC.
    """
    if not isinstance(value, str):
        return "number", value
    match = _TIME.fullmatch(value)
    if match is None:
        return "text", value
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        # A leap second is the one before it.
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(59, int(second or 0)),
            tzinfo=timezone.utc,
        )  # fmt: skip
    except ValueError:
        return "text", value
    seconds = round((moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(seconds=1)) - _offset(zone)
    return "time", (seconds, (fraction or "").ljust(9, "0"))


def _offset(zone: str | None) -> int:
    if not zone or zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (-1 if zone[0] == "-" else 1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)
