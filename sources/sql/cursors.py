"""Values of a database in what JSON has, and back, so that a query gets them as it gave them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

__all__ = ["pack", "pack_all", "unpack"]

_TYPES: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    datetime: ("datetime", datetime.isoformat, datetime.fromisoformat),
    date: ("date", date.isoformat, date.fromisoformat),
    time: ("time", time.isoformat, time.fromisoformat),
    timedelta: ("seconds", timedelta.total_seconds, lambda seconds: timedelta(seconds=seconds)),
    Decimal: ("decimal", str, Decimal),
    UUID: ("uuid", str, UUID),
    bytes: ("base64", lambda value: base64.b64encode(value).decode(), base64.b64decode),
}
_UNPACK = {name: unpack for name, _, unpack in _TYPES.values()}


def pack(values: Sequence[Any]) -> list[Any]:
    """Values as they are saved: what JSON does not have is an object with the name of its type."""
    return [value if type(value) not in _TYPES else _packed(value) for value in values]


def pack_all(rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """Many of them; those that JSON has as they are, which most are, cost next to nothing."""
    columns = zip(*rows)  # noqa: B905 - each row has as many
    return (
        rows if all(_TYPES.keys().isdisjoint(map(type, column)) for column in columns) else [pack(row) for row in rows]
    )


def unpack(values: Sequence[Any]) -> tuple[Any, ...]:
    """What `pack` has packed."""
    return tuple(_unpacked(value) if type(value) is dict else value for value in values)


def _packed(value: Any) -> dict[str, Any]:
    name, pack_one, _ = _TYPES[type(value)]
    return {name: pack_one(value)}


def _unpacked(packed: dict[str, Any]) -> Any:
    ((name, value),) = packed.items()
    return _UNPACK[name](value)
