"""Properties by their bytes: what pika cannot write, or reads wrong."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from typing import Any

import pytest
from pika.spec import BasicProperties

from sources.rabbitmq.properties import NO_PROPERTIES, decode_properties


def table(*entries: bytes) -> bytes:
    """The properties of a message that has headers only."""
    content = b"".join(b"\x01" + name + value for name, value in zip((b"a", b"b", b"c"), entries, strict=False))
    return struct.pack(">HI", 1 << 13, len(content)) + content


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"d" + struct.pack(">d", 12.75), 12.75),
        (b"f" + struct.pack(">f", -0.5), -0.5),
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"s\xff\xfe", -2),
        (b"U\xff\xfe", -2),
        (b"u\xff\xfe", 65534),
        (b"I\xff\xff\xff\xff", -1),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"l" + b"\xff" * 8, -1),
        (b"L" + b"\xff" * 8, -1),
        (b"t\x00", False),
        (b"V", None),
        (b"S\x00\x00\x00\x02\xff\xfe", b"\xff\xfe"),
        (b"x\x00\x00\x00\x02hi", b"hi"),
        (b"T" + struct.pack(">Q", 60), datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc)),
        (b"T" + struct.pack(">Q", 1_700_000_000_000), 1_700_000_000_000),
        (b"T" + b"\xff" * 8, 2**64 - 1),
    ],
    ids=repr,
)
def test_a_header_keeps_its_type(encoded: bytes, value: Any) -> None:
    headers = decode_properties(table(encoded, b"t\x01"))["headers"]

    assert headers == {"a": value, "b": True}
    assert type(headers["a"]) is type(value)


def test_a_timestamp_in_milliseconds_is_a_number() -> None:
    encoded = b"".join(BasicProperties(timestamp=1_700_000_000_000).encode())

    assert decode_properties(encoded) == {"timestamp": 1_700_000_000_000}


def test_a_message_without_properties_has_none() -> None:
    assert b"".join(BasicProperties().encode()) == NO_PROPERTIES
    assert decode_properties(NO_PROPERTIES) == {}


@pytest.mark.parametrize(
    "encoded",
    [
        b"\xf0\x00",
        table(b"?"),
        table(b"I\x00"),
        table(b"A\x00\x00\x00\x05" * 5_000),
    ],
    ids=["cut off", "unknown type", "cut value", "too deep"],
)
def test_what_cannot_be_read_is_an_error(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="properties cannot be read"):
        decode_properties(encoded)
