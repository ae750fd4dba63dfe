"""The functions of the language."""

from __future__ import annotations

import base64
import hashlib
import math
import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

import orjson

from flowspec.expressions.clock import now
from flowspec.expressions.entries import Entry
from flowspec.expressions.guards import MAX_BITS
from flowspec.formats import encoder

__all__ = ["FUNCTIONS"]

_MAX_DIGITS = 1_000
_encode_json = encoder("json")


def _text(value: Any, function: str) -> str:
    if not isinstance(value, str):
        msg = f"{function}() needs a text, not {type(value).__name__}"
        raise TypeError(msg)
    return value


def _check_digits(value: Any) -> None:
    """Refuse a number whose conversion takes long: `9999...`, `1E+999999999`."""
    if isinstance(value, (str, bytes)):
        digits = len(value)
    elif isinstance(value, Decimal):
        digits = abs(value.adjusted())
    else:
        return
    if digits > _MAX_DIGITS:
        msg = f"a number of {digits:,} digits is too long; {_MAX_DIGITS:,} are allowed"
        raise ValueError(msg)


def _int(value: Any, base: int = 10, /) -> int:
    if type(value) is float:
        return int(value)
    _check_digits(value)
    return int(value) if base == 10 else int(value, base)  # noqa: PLR2004


def _decimal(value: Any, /) -> Decimal:
    _check_digits(value)
    if isinstance(value, float):
        value = str(value)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        msg = "the number is too long"
        raise ValueError(msg)
    try:
        number = Decimal(value)
    except InvalidOperation:
        msg = f"{value[:40]!r} is not a number"
        raise ValueError(msg) from None
    _check_digits(number)
    return +number  # in the precision in which it is computed with


def _round(value: Any, digits: int | None = None, /) -> Any:
    if digits is not None and abs(digits) > 100:  # noqa: PLR2004
        msg = "round() takes at most 100 digits"
        raise ValueError(msg)
    _check_digits(value)
    return round(value) if digits is None else round(value, digits)


def _floor(value: Any, /) -> Any:
    _check_digits(value)
    return math.floor(value)


def _ceil(value: Any, /) -> Any:
    _check_digits(value)
    return math.ceil(value)


def _first(values: Iterable[Any], default: Any = None, /) -> Any:
    return next(iter(values), default)


def _last(values: Any, default: Any = None, /) -> Any:
    items = list(values)
    return items[-1] if items else default


def _unique(values: Iterable[Any], /) -> list[Any]:
    found: dict[Any, Any] = {}
    for value in values:
        try:
            found.setdefault(value, value)
        except TypeError:
            found.setdefault(_encode_json(value), value)
    return list(found.values())


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


_KINDS = (
    ("boolean", bool), ("number", (int, float, Decimal)), ("string", str), ("array", (list, tuple, set)),
    ("object", dict), ("date", (date, timedelta)), ("null", type(None)), ("bytes", bytes),
)  # fmt: skip


def _type(value: Any, /) -> str:
    return next((name for name, types in _KINDS if isinstance(value, types)), "other")


def _datetime(text: str, /) -> datetime:
    text = _text(text, "datetime").strip()
    try:
        parsed = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "Zz" else text)
    except ValueError:
        msg = f"{text[:40]!r} is not a date and time like '2024-01-31T10:00:00Z'"
        raise ValueError(msg) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def _date(text: str, /) -> date:
    try:
        return date.fromisoformat(_text(text, "date").strip())
    except ValueError:
        msg = f"{text[:40]!r} is not a date like '2024-01-31'"
        raise ValueError(msg) from None


def _timestamp(seconds: float, /) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _span(unit: str) -> Callable[[float], timedelta]:
    def span(count: float, /) -> timedelta:
        return timedelta(**{unit: count})

    return span


def _bytes(value: Any, function: str) -> bytes:
    return value if isinstance(value, bytes) else _text(value, function).encode("utf-8")


def _json(text: Any, /) -> Any:
    return orjson.loads(_bytes(text, "json"))


def _to_json(value: Any, /) -> str:
    return _encode_json(value).decode("utf-8")


def _sha256(value: Any, /) -> str:
    return hashlib.sha256(_bytes(value, "sha256")).hexdigest()


def _base64(value: Any, /) -> str:
    return base64.b64encode(_bytes(value, "base64")).decode("ascii")


def _from_base64(text: str, /) -> str:
    return base64.b64decode(_text(text, "from_base64"), validate=True).decode("utf-8")


def _uuid5(name: str, /) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, _text(name, "uuid5")))


def _quote(text: str, /) -> str:
    return quote(_text(text, "quote"), safe="")


def _by_path(*_: Any) -> Any:
    """`get` and `has` know their path when the expression is compiled, so the compiler handles them itself."""
    raise NotImplementedError


_UTC = timezone.utc

FUNCTIONS: dict[str, Entry] = {
    "abs": Entry(abs, "number", "The number without its sign.", "abs(-3)", 3),
    "all": Entry(all, "values", "Whether every value is true.", "all(n > 0 for n in [1, 2])", True),
    "any": Entry(any, "values", "Whether at least one value is true.", "any(n > 1 for n in [1, 2])", True),
    "base64": Entry(_base64, "value", "A text or bytes as base64.", "base64('abc')", "YWJj"),
    "bool": Entry(bool, "value", "False for 0, empty and None; True for all else.", "bool([])", False),
    "ceil": Entry(_ceil, "number", "The next whole number above.", "ceil(1.2)", 2),
    "coalesce": Entry(_coalesce, "*values", "The first value that is not None.", "coalesce(None, 5)", 5),
    "date": Entry(_date, "text", "The date of an ISO 8601 text.", "date('2024-01-31')", date(2024, 1, 31)),
    "datetime": Entry(
        _datetime, "text", "The time of an ISO 8601 text; UTC where it has no zone.",
        "datetime('2024-01-31T10:00:00Z')", datetime(2024, 1, 31, 10, tzinfo=_UTC),
    ),
    "days": Entry(_span("days"), "count", "A span of time.", "days(2) == hours(48)", True),
    "decimal": Entry(
        _decimal, "value", "A decimal number of up to 28 digits, exact, for money.", "decimal('1.10')", Decimal("1.10")
    ),
    "first": Entry(_first, "values, default=None", "The first value, or the default.", "first([4, 5])", 4),
    "float": Entry(float, "value", "A number with a fraction.", "float('1.5')", 1.5),
    "floor": Entry(_floor, "number", "The next whole number below.", "floor(1.8)", 1),
    "from_base64": Entry(_from_base64, "text", "The text that base64 stands for.", "from_base64('YWJj')", "abc"),
    "get": Entry(
        _by_path, "path, default=None", "The field at a path, or the default where there is none.",
        "get('customer.phone', 'none')", "none", constant=False,
    ),
    "has": Entry(
        _by_path, "path", "Whether there is a field at a path, be it None.", "has('customer.phone')", False,
        constant=False,
    ),
    "hours": Entry(_span("hours"), "count", "A span of time.", "hours(2) == minutes(120)", True),
    "int": Entry(
        _int, "value, base=10", "A whole number; cuts a fraction off. A base reads text such as hex.",
        "int('ff', 16)", 255,
    ),
    "json": Entry(_json, "text", "The value that a JSON text stands for.", "json('[1, 2]')", [1, 2]),
    "last": Entry(_last, "values, default=None", "The last value, or the default.", "last([4, 5])", 5),
    "len": Entry(len, "value", "How many characters or items there are.", "len('abc')", 3),
    "list": Entry(list, "values", "The values as a list.", "list('ab')", ["a", "b"]),
    "max": Entry(max, "value, *values, default=None", "The largest value.", "max([2, 9, 4])", 9),
    "min": Entry(min, "value, *values, default=None", "The smallest value.", "min(2, 9)", 2),
    "minutes": Entry(_span("minutes"), "count", "A span of time.", "minutes(1) == seconds(60)", True),
    "now": Entry(now, "", "The present time, in UTC.", "now() > datetime('2024-01-31')", True, constant=False),
    "quote": Entry(_quote, "text", "A text for use inside a URL.", "quote('a b/c')", "a%20b%2Fc"),
    "round": Entry(
        _round, "number, digits=None", "The nearest number with that many digits; half to even.",
        "round(2.345, 1)", 2.3,
    ),
    "seconds": Entry(_span("seconds"), "count", "A span of time.", "seconds(90).total_seconds()", 90.0),
    "set": Entry(set, "values", "The values as a set, for `in` and `-`.", "set([1, 1]) == {1}", True),
    "sha256": Entry(_sha256, "value", "The SHA-256 of a text or bytes, in hex.", "sha256('a')[:8]", "ca978112"),
    "sorted": Entry(
        sorted, "values, *, reverse=False", "The values in order.", "sorted([1, 3, 2], reverse=True)", [3, 2, 1]
    ),
    "str": Entry(str, "value", "The value as text.", "str(12)", "12"),
    "sum": Entry(sum, "values", "The values added up.", "sum(n * 2 for n in [1, 2])", 6),
    "timestamp": Entry(
        _timestamp, "seconds", "The time that many seconds after 1970, in UTC.", "timestamp(0).isoformat()",
        "1970-01-01T00:00:00+00:00",
    ),
    "to_json": Entry(_to_json, "value", "The value as a JSON text.", "to_json({'a': 1})", '{"a":1}'),
    "type": Entry(
        _type, "value", "`string`, `number`, `boolean`, `null`, `array`, `object`, `date` or `bytes`.",
        "type('a')", "string",
    ),
    "unique": Entry(_unique, "values", "Every value once, in order.", "unique([2, 1, 2])", [2, 1]),
    "uuid5": Entry(
        _uuid5, "name", "A UUID that is always the same for a name.", "uuid5('order-1')",
        "48414203-5358-51fa-9611-1b3e449287f3",
    ),
}  # fmt: skip
