"""The properties of a message, from their bytes.

Pika's own decoder cuts fractions off, and a time that Python cannot express makes it lose the connection, again with
each redelivery.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

__all__ = ["NO_PROPERTIES", "decode_properties"]

NO_PROPERTIES = b"\x00\x00"
"""What a message without any has."""

_Decoder: TypeAlias = Callable[[bytes, int], "tuple[Any, int]"]
_long = struct.Struct(">I").unpack_from
_decimal = struct.Struct(">Bi").unpack_from


def decode_properties(data: bytes) -> dict[str, Any]:
    """The properties that are present, by name; `headers` is one of them.

    Times are aware, and numbers where they are too far away for a time. Texts that are not UTF-8 are bytes.

    Raises:
        ValueError: these are no properties.
    """
    found = {}
    at = 2
    try:
        for name, decode in _layout(data[:2]):
            found[name], at = decode(data, at)
    except (IndexError, KeyError, RecursionError, struct.error) as error:
        msg = f"properties cannot be read: {error!r}"
        raise ValueError(msg) from error
    return found


def _number(layout: str) -> _Decoder:
    unpack, size = struct.Struct(f">{layout}").unpack_from, struct.calcsize(f">{layout}")

    def decode(data: bytes, at: int) -> tuple[Any, int]:
        return unpack(data, at)[0], at + size

    return decode


def _name(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "backslashreplace"), end


def _blob(data: bytes, at: int) -> tuple[bytes, int]:
    start = at + 4
    end = start + _long(data, at)[0]
    return data[start:end], end


def _text(data: bytes, at: int) -> tuple[str | bytes, int]:
    value, at = _blob(data, at)
    try:
        return value.decode(), at
    except UnicodeDecodeError:
        return value, at


def _time(data: bytes, at: int) -> tuple[datetime | int, int]:
    seconds, at = _seconds(data, at)
    try:
        return datetime.fromtimestamp(seconds, tz=timezone.utc), at
    except (OSError, OverflowError, ValueError):  # Many a sender writes milliseconds.
        return seconds, at


def _scaled(data: bytes, at: int) -> tuple[Decimal, int]:
    places, digits = _decimal(data, at)
    return Decimal(digits).scaleb(-places), at + 5


def _array(data: bytes, at: int) -> tuple[list[Any], int]:
    at, end = at + 4, at + 4 + _long(data, at)[0]
    values = []
    while at < end:
        value, at = _VALUES[data[at]](data, at + 1)
        values.append(value)
    return values, at


def _table(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    at, end = at + 4, at + 4 + _long(data, at)[0]
    table = {}
    while at < end:
        name, at = _name(data, at)
        table[name], at = _VALUES[data[at]](data, at + 1)
    return table, at


def _flag(data: bytes, at: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


_octet, _seconds = _number("B"), _number("Q")
_VALUES: dict[int, _Decoder] = {
    ord("t"): _flag,
    ord("b"): _number("b"),
    ord("B"): _octet,
    ord("s"): _number("h"),
    ord("U"): _number("h"),
    ord("u"): _number("H"),
    ord("I"): _number("i"),
    ord("i"): _number("I"),
    ord("l"): _number("q"),
    ord("L"): _number("q"),
    ord("f"): _number("f"),
    ord("d"): _number("d"),
    ord("D"): _scaled,
    ord("S"): _text,
    ord("x"): _blob,
    ord("A"): _array,
    ord("T"): _time,
    ord("F"): _table,
    ord("V"): lambda _, at: (None, at),
}
"""Source: "AMQP 0-9-1 Errata", "Field types", of RabbitMQ; `U` is the specification's name for its `s`."""

_PROPERTIES: tuple[tuple[str, _Decoder], ...] = (
    ("content_type", _name),
    ("content_encoding", _name),
    ("headers", _table),
    ("delivery_mode", _octet),
    ("priority", _octet),
    ("correlation_id", _name),
    ("reply_to", _name),
    ("expiration", _name),
    ("message_id", _name),
    ("timestamp", _time),
    ("type", _name),
    ("user_id", _name),
    ("app_id", _name),
    ("cluster_id", _name),
)
"""In the order of their flags, the highest bit first. Source: "The Basic class" in the AMQP 0-9-1 specification."""


@lru_cache(maxsize=1024)
def _layout(flags: bytes) -> tuple[tuple[str, _Decoder], ...]:
    """What the flags say is there; a sender's messages mostly have the same."""
    (bits,) = struct.unpack(">H", flags)
    return tuple(each for index, each in enumerate(_PROPERTIES) if bits & 1 << 15 - index)
