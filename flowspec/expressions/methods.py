"""The methods of the language, each a function that refuses any but its own plain types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, timezone
from typing import Any

from flowspec.expressions.entries import Entry
from flowspec.expressions.guards import check_size, strftime

__all__ = ["METHODS"]

_ENCODINGS = frozenset({"ascii", "latin-1", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252"})


def _need(types: tuple[type[Any], ...], value: Any, method: str) -> None:
    if not isinstance(value, types):
        msg = f"{method}() cannot be called on {type(value).__name__}"
        raise TypeError(msg)


def _padded(method: Callable[..., str]) -> Callable[..., str]:
    def pad(text: str, width: int, *fill: str) -> str:
        if isinstance(width, int):
            check_size(width)
        return method(text, width, *fill)

    return pad


def _replace(text: str, old: str, new: str, count: int = -1, /) -> str:
    size = len(new) - len(old)
    if size > 0:
        found = str.count(text, old)
        check_size(len(text) + size * (found if count < 0 else min(found, count)))
    return str.replace(text, old, new, count)


def _join(separator: str, values: Iterable[str], /) -> str:
    items = list(values)
    check_size(len(separator) * len(items) + sum(map(len, items)))
    return str.join(separator, items)


def _count(values: Any, value: Any, /) -> int:
    _need((str, list, tuple), values, "count")
    found: int = values.count(value)
    return found


def _index(values: Any, value: Any, /) -> int:
    _need((str, list, tuple), values, "index")
    place: int = values.index(value)
    return place


def _keys(values: dict[Any, Any], /) -> list[Any]:
    return list(dict.keys(values))


def _values(values: dict[Any, Any], /) -> list[Any]:
    return list(dict.values(values))


def _items(values: dict[Any, Any], /) -> list[tuple[Any, Any]]:
    return list(dict.items(values))


def _decode(value: bytes, encoding: str = "utf-8", /) -> str:
    if encoding not in _ENCODINGS:
        msg = f"decode() knows the encodings {', '.join(sorted(_ENCODINGS))}"
        raise ValueError(msg)
    return bytes.decode(value, encoding)


def _isoformat(value: Any, /) -> str:
    _need((date,), value, "isoformat")
    return date.isoformat(value) if not isinstance(value, datetime) else datetime.isoformat(value)


def _astimezone(value: datetime, hours: float, /) -> datetime:
    return datetime.astimezone(value, timezone(timedelta(hours=hours)))


_NEW_YEAR = "datetime('2024-01-31T10:00:00Z')"

METHODS: dict[str, Entry] = {
    "astimezone": Entry(
        _astimezone, "hours", "The same time in a zone that many hours ahead of UTC.",
        f"{_NEW_YEAR}.astimezone(2).isoformat()", "2024-01-31T12:00:00+02:00", "time",
    ),
    "capitalize": Entry(str.capitalize, "", "First letter large, others small.", "'aBC'.capitalize()", "Abc", "text"),
    "casefold": Entry(
        str.casefold, "", "Small letters for comparing in any language.", "'Straße'.casefold()", "strasse", "text"
    ),
    "center": Entry(
        _padded(str.center), "width, fill=' '", "Padded on both sides.", "'ab'.center(4, '-')", "-ab-", "text"
    ),
    "count": Entry(_count, "value", "How often the value occurs.", "'banana'.count('a')", 3, "text, list"),
    "date": Entry(datetime.date, "", "The day of a time.", f"{_NEW_YEAR}.date().isoformat()", "2024-01-31", "time"),
    "decode": Entry(_decode, "encoding='utf-8'", "The text of bytes.", "b'abc'.decode()", "abc", "bytes"),
    "endswith": Entry(
        str.endswith, "end", "Whether it ends so; a tuple gives several.", "'a.csv'.endswith('.csv')", True, "text"
    ),
    "find": Entry(str.find, "part, start=0, end=None", "Where the part begins, or -1.", "'abc'.find('c')", 2, "text"),
    "get": Entry(dict.get, "name, default=None", "The field, or the default.", "{'a': 1}.get('b', 0)", 0, "object"),
    "index": Entry(_index, "value", "Where the value is; it must be there.", "[4, 5].index(5)", 1, "text, list"),
    "isalnum": Entry(str.isalnum, "", "Whether all are letters or digits.", "'a1'.isalnum()", True, "text"),
    "isalpha": Entry(str.isalpha, "", "Whether all are letters.", "'a1'.isalpha()", False, "text"),
    "isdigit": Entry(str.isdigit, "", "Whether all are digits.", "'12'.isdigit()", True, "text"),
    "islower": Entry(str.islower, "", "Whether all letters are small.", "'ab'.islower()", True, "text"),
    "isoformat": Entry(
        _isoformat, "", "The date or time as ISO 8601 text.", "date('2024-01-31').isoformat()", "2024-01-31",
        "date, time",
    ),
    "isoweekday": Entry(
        date.isoweekday, "", "1 for Monday to 7 for Sunday.",
        "date('2024-01-31').isoweekday()", 3, "date, time",
    ),
    "isspace": Entry(str.isspace, "", "Whether all is white space.", "' '.isspace()", True, "text"),
    "isupper": Entry(str.isupper, "", "Whether all letters are large.", "'Ab'.isupper()", False, "text"),
    "items": Entry(_items, "", "The names and values, in pairs.", "[k for k, v in {'a': 1}.items()]", ["a"], "object"),
    "join": Entry(_join, "texts", "The texts with this one between them.", "', '.join(['a', 'b'])", "a, b", "text"),
    "keys": Entry(_keys, "", "The names of the fields.", "{'a': 1}.keys()", ["a"], "object"),
    "ljust": Entry(_padded(str.ljust), "width, fill=' '", "Padded on the right.", "'a'.ljust(3, '.')", "a..", "text"),
    "lower": Entry(str.lower, "", "In small letters.", "'Ab'.lower()", "ab", "text"),
    "lstrip": Entry(str.lstrip, "characters=None", "Without white space at its start.", "' a'.lstrip()", "a", "text"),
    "partition": Entry(
        str.partition, "separator", "What is before the first separator, the separator, what is behind it.",
        "'a@b'.partition('@')[2]", "b", "text",
    ),
    "removeprefix": Entry(
        str.removeprefix, "start", "Without that start.", "'id-7'.removeprefix('id-')", "7", "text"
    ),
    "removesuffix": Entry(str.removesuffix, "end", "Without that end.", "'a.csv'.removesuffix('.csv')", "a", "text"),
    "replace": Entry(
        _replace, "old, new, count=-1", "With one part replaced by another.", "'a-b'.replace('-', '+')", "a+b", "text"
    ),
    "rfind": Entry(
        str.rfind, "part, start=0, end=None", "Where the part begins last, or -1.", "'aba'.rfind('a')", 2, "text"
    ),
    "rjust": Entry(_padded(str.rjust), "width, fill=' '", "Padded on the left.", "'a'.rjust(3, '.')", "..a", "text"),
    "rpartition": Entry(
        str.rpartition, "separator", "As `partition`, at the last separator.", "'a/b/c'.rpartition('/')[0]", "a/b",
        "text",
    ),
    "rsplit": Entry(
        str.rsplit, "separator=None, most=-1", "As `split`, from the end.", "'a b c'.rsplit(' ', 1)", ["a b", "c"],
        "text",
    ),
    "rstrip": Entry(str.rstrip, "characters=None", "Without white space at its end.", "'a '.rstrip()", "a", "text"),
    "split": Entry(
        str.split, "separator=None, most=-1", "The parts between the separators.", "'a,b'.split(',')", ["a", "b"],
        "text",
    ),
    "splitlines": Entry(str.splitlines, "", "The lines.", "'a\\nb'.splitlines()", ["a", "b"], "text"),
    "startswith": Entry(
        str.startswith, "start", "Whether it starts so; a tuple gives several.", "'EU-7'.startswith(('EU', 'US'))",
        True, "text",
    ),
    "strftime": Entry(
        strftime, "format", "The date or time in a format.", f"{_NEW_YEAR}.strftime('%d.%m.%Y')", "31.01.2024",
        "date, time",
    ),
    "strip": Entry(
        str.strip, "characters=None", "Without white space at both ends.", "' a '.strip()", "a", "text"
    ),
    "swapcase": Entry(str.swapcase, "", "Small letters large and large ones small.", "'aB'.swapcase()", "Ab", "text"),
    "timestamp": Entry(
        datetime.timestamp, "", "Seconds since 1970.", "datetime('1970-01-02').timestamp()", 86400.0, "time"
    ),
    "title": Entry(str.title, "", "Each word with a large first letter.", "'ab cd'.title()", "Ab Cd", "text"),
    "total_seconds": Entry(
        timedelta.total_seconds, "", "The length of a span of time.", "minutes(2).total_seconds()", 120.0, "span"
    ),
    "upper": Entry(str.upper, "", "In large letters.", "'Ab'.upper()", "AB", "text"),
    "values": Entry(_values, "", "The values of the fields.", "{'a': 1}.values()", [1], "object"),
    "weekday": Entry(
        date.weekday, "", "0 for Monday to 6 for Sunday.", "date('2024-01-31').weekday()", 2, "date, time"
    ),
    "zfill": Entry(_padded(str.zfill), "width", "Padded on the left with zeros.", "'7'.zfill(3)", "007", "text"),
}  # fmt: skip
