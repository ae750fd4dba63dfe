"""Values in JSON and back, without loss: what a record is replayed with is what it was received with.

What JSON has is itself. Anything else is an object with one key that begins with `$` and names its type.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

__all__ = ["INTEGERS", "dumps", "loads", "text_of"]

INTEGERS = range(-(2**63), 2**64)
"""What orjson writes as a number. An SQS attribute may have 38 digits."""
_DEEPEST = 120
"""Levels of lists and objects that are kept as such; orjson writes 254."""


def dumps(value: Any) -> str:
    """`value` as JSON; what is of no type that can be kept is in it as text."""
    return orjson.dumps(_packed(value, _DEEPEST)).decode()


def loads(text: str) -> Any:
    """The value again."""
    return _unpacked(orjson.loads(text))


def text_of(value: object) -> str:
    """`value` as a text, even where it fails to say what it is."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        return f"<{type(value).__name__} that cannot be shown>"


def _packed(value: Any, deepest: int) -> Any:
    if value is None or type(value) is bool:
        return value
    if deepest and isinstance(value, dict):
        return _packed_dict(value, deepest - 1)
    if deepest and isinstance(value, (list, tuple, set, frozenset)):
        return [_packed(item, deepest - 1) for item in value]
    pack = _PACKERS.get(type(value))
    return _packed_text(text_of(value)) if pack is None else pack(value)


def _packed_int(value: int) -> Any:
    return value if value in INTEGERS else {"$int": str(value)}


def _packed_float(value: float) -> Any:
    return value if math.isfinite(value) else {"$float": str(value)}


def _packed_bytes(value: bytes | bytearray) -> Any:
    return {"$bytes": base64.b64encode(value).decode()}


def _packed_text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair.
        return {"$text": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}
    return str(value)


def _packed_dict(value: dict[Any, Any], deepest: int) -> dict[str, Any]:
    if all(type(name) is str and not name.startswith("$") and type(_packed_text(name)) is str for name in value):
        return {name: _packed(item, deepest) for name, item in value.items()}
    # Three levels in one.
    deepest = max(0, deepest - 2)
    return {"$pairs": [[_packed(name, deepest), _packed(item, deepest)] for name, item in value.items()]}


_PACKERS: dict[type, Callable[[Any], Any]] = {
    str: _packed_text,
    int: _packed_int,
    float: _packed_float,
    bytes: _packed_bytes,
    bytearray: _packed_bytes,
    datetime: lambda value: {"$datetime": value.isoformat()},
    date: lambda value: {"$date": value.isoformat()},
    time: lambda value: {"$time": value.isoformat()},
    Decimal: lambda value: {"$decimal": str(value)},
    UUID: lambda value: {"$uuid": str(value)},
}
_UNPACKERS: dict[str, Callable[[Any], Any]] = {
    "$int": int,
    "$float": float,
    "$bytes": base64.b64decode,
    "$text": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
    "$pairs": lambda pairs: {_unpacked(name): _unpacked(item) for name, item in pairs},
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$decimal": Decimal,
    "$uuid": UUID,
}


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, item),) = value.items()
        if name in _UNPACKERS:
            return _UNPACKERS[name](item)
    return {name: _unpacked(item) for name, item in value.items()}
