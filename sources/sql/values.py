"""Values of a database as JSON has them, and back.

What is read:

| value of the driver | in the body |
| --- | --- |
| text, whole number, float, boolean, NULL | the same |
| date and time with zone | text of RFC 3339, with the offset that the driver gave it |
| date and time without zone, date, time | text of ISO 8601, without an offset |
| interval | seconds, a number |
| decimal | a number, rounded to a float if it has a fraction or more than 64 bits; or exactly, as a text |
| binary | text, base64 |
| UUID | text |
| JSON | the same |
| array, composite | a list with the values in it converted |
| anything else | what `str` makes of it |

What is written, by the type of the column:

| column | takes |
| --- | --- |
| text, enum | a text; numbers and booleans as they are in JSON; objects and lists as JSON |
| whole number | a whole number, also as a text or as a float without fraction; a boolean as 1 or 0 |
| float, decimal | a number, also as a text, which for a decimal is exact |
| boolean | a boolean; 1 or 0; `true` or `false` as a text |
| date and time with zone | a text of ISO 8601; without an offset it is UTC |
| date and time without zone | a text of ISO 8601; with an offset it becomes UTC |
| date, time | a text of ISO 8601 |
| interval | seconds |
| binary | base64, as a text |
| UUID | a text |
| JSON | anything, as JSON; null as NULL |
| array | a list of what its items take |
| anything else | whatever the driver takes; objects and lists as JSON |

Dates, decimals and bytes, which an expression can make, are taken where a text of them is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import ARRAY, JSON
from sqlalchemy.types import TypeEngine

from flowspec.errors import RecordError
from flowspec.formats import encoder

__all__ = ["Decimals", "Plain", "Taker", "taker", "to_plain"]

Decimals: TypeAlias = Literal["number", "text"]
"""How a decimal is read: as a number, which may be rounded, or exactly, as a text."""

_PLAIN = frozenset({str, int, float, bool, type(None)})
_AS_THEY_ARE = _PLAIN | {dict}
"""Only JSON is read as an object."""
_MOST_BITS = 63
"""Of a whole number that every reader of JSON takes."""
_FRACTION = re.compile(r"[.,](\d+)")
_DIGITS = 6

_encode_json = encoder("json")


def to_plain(value: Any, decimals: Decimals = "number") -> Any:
    """One value that was read, as JSON has it."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    convert = _CONVERSIONS.get(kind) or next(
        (convert for base, convert in _CONVERSIONS.items() if isinstance(value, base)), _as_text
    )
    return convert(value, decimals)


class Plain:
    """Makes bodies of rows."""

    def __init__(self, names: Iterable[str], decimals: Decimals = "number") -> None:
        self._names = tuple(names)
        self._decimals: Decimals = decimals

    def bodies(self, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """A body for each row, whose values are in the order of the names."""
        # By columns: those whose values are plain already, which most are, cost next to nothing.
        columns = [self._converted(column) for column in zip(*rows, strict=True)]
        return [dict(zip(self._names, row)) for row in zip(*columns)]  # noqa: B905 - as many as there are columns

    def _converted(self, column: Sequence[Any]) -> Sequence[Any]:
        kinds = set(map(type, column))
        if kinds <= _AS_THEY_ARE:
            return column
        if kinds == {datetime}:
            return list(map(datetime.isoformat, column))
        return [to_plain(value, self._decimals) for value in column]


def _as_text(value: Any, _: Decimals) -> str:
    return str(value)


def _as_iso(value: date | time, _: Decimals) -> str:
    return value.isoformat()


def _as_number(value: Decimal, decimals: Decimals) -> str | float:
    if decimals == "text":
        return str(value)
    if value.is_finite() and value.as_tuple().exponent == 0 and (whole := int(value)).bit_length() <= _MOST_BITS:
        return whole
    return float(value)


def _as_base64(value: bytes | bytearray | memoryview, _: Decimals) -> str:
    return base64.b64encode(value).decode()


def _as_seconds(value: timedelta, _: Decimals) -> float:
    return value.total_seconds()


def _as_object(value: dict[str, Any], _: Decimals) -> dict[str, Any]:
    return value


def _as_list(value: Iterable[Any], decimals: Decimals) -> list[Any]:
    return [to_plain(item, decimals) for item in value]


_CONVERSIONS: dict[type, Callable[[Any, Decimals], Any]] = {
    datetime: _as_iso,
    date: _as_iso,
    time: _as_iso,
    timedelta: _as_seconds,
    Decimal: _as_number,
    bytes: _as_base64,
    bytearray: _as_base64,
    memoryview: _as_base64,
    dict: _as_object,
    list: _as_list,
    tuple: _as_list,
    set: _as_list,
    frozenset: _as_list,
}


class Taker(NamedTuple):
    """What a column takes."""

    what: str
    """In words, which complete "the column takes"."""
    take: Callable[[Any], Any]
    """Makes of a value what the driver takes for the column. None is none of its business.

    Raises `RecordError`, which says why, or any of `TypeError`, `ValueError`, `ArithmeticError`, `LookupError` and
    `AttributeError` for a value that is not what the column takes.
    """
    is_ready: bool = False
    """Whether it is for the driver as it is: SQLAlchemy would make JSON again, or a float of a decimal."""


def taker(column: TypeEngine[Any], *, decimals: bool = True) -> Taker:
    """What a column of a type takes.

    Args:
        column: The type.
        decimals: Whether the driver takes decimals; otherwise they are given to it as texts.
    """
    if isinstance(column, JSON):
        return _JSON
    if isinstance(column, ARRAY):
        items = taker(column.item_type, decimals=decimals)
        return Taker(f"a list of which each is {items.what}", _list_of(items.take))
    try:
        kind = column.python_type
    except NotImplementedError:
        return _OTHER
    if kind is datetime and getattr(column, "timezone", False):
        return _WITH_ZONE
    if kind is Decimal and not decimals:
        return _DECIMAL_TEXT
    return _TAKERS.get(kind, _OTHER)


def _json(value: Any) -> str:
    try:
        return _encode_json(value).decode()
    except (TypeError, ValueError) as error:
        msg = f"cannot have it as JSON: {error.__cause__ or error}"
        raise RecordError(msg) from error


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, (Decimal, UUID)) else _json(value)


def _whole(value: Any) -> int:
    whole = int(value)
    if whole != value and not isinstance(value, str):
        raise ValueError
    return whole


def _decimal(value: Any) -> Decimal:
    # The shortest text of a float is the number that was written.
    return Decimal(str(value) if isinstance(value, float) else value)


def _decimal_text(value: Any) -> str:
    return str(_decimal(value))


def _boolean(value: Any) -> bool:
    return _BOOLEANS[value]


_BOOLEANS = {True: True, False: False, "true": True, "false": False}


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(_iso(value))


def _with_zone(value: Any) -> datetime:
    moment = _moment(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _without_zone(value: Any) -> datetime:
    moment = _moment(value)
    return moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment


def _date(value: Any) -> date:
    return value if type(value) is date else date.fromisoformat(value)


def _time(value: Any) -> time:
    return value if isinstance(value, time) else time.fromisoformat(_iso(value))


def _iso(text: str) -> str:
    """What every Python reads: until 3.11 it knows no 'Z', and only fractions of 3 or 6 digits."""
    text = _FRACTION.sub(lambda match: "." + match[1][:_DIGITS].ljust(_DIGITS, "0"), text.strip())
    return text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text


def _interval(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _list_of(take: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def items(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError
        return [None if item is None else take(item) for item in value]

    return items


def _other(value: Any) -> Any:
    return _json(value) if isinstance(value, (dict, list)) else value


_JSON = Taker("JSON", _json, is_ready=True)
_OTHER = Taker("what its type says", _other)
_DECIMAL_TEXT = Taker("a number", _decimal_text, is_ready=True)
_WITH_ZONE = Taker("a date and time like '2024-01-31T10:00:00Z'", _with_zone)
_TAKERS = {
    str: Taker("a text", _text),
    int: Taker("a whole number", _whole),
    float: Taker("a number", float),
    Decimal: Taker("a number", _decimal),
    bool: Taker("true or false", _boolean),
    datetime: Taker("a date and time like '2024-01-31T10:00:00'", _without_zone),
    date: Taker("a date like '2024-01-31'", _date),
    time: Taker("a time like '10:00:00'", _time),
    timedelta: Taker("a number of seconds", _interval),
    bytes: Taker("bytes as base64", _bytes),
    UUID: Taker("a UUID", _uuid),
}
