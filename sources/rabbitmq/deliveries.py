"""Deliveries, taken straight out of the bytes of a connection.

Pika makes an object of every frame and calls back for every message, which costs 20 us a message and more than
the rest of a flow together. So the three frames of a delivery are read here, a whole read of the socket at a time, and
only what else the broker sends is left to pika.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Deliveries", "Delivery"]

_METHOD, _HEADER, _BODY = 1, 2, 3
_FRAME_END = 0xCE
_AROUND = 8
"""Bytes of a frame around its payload."""
_DELIVER = struct.pack(">HH", 60, 60)
_WITH_CONTENT = (_DELIVER, struct.pack(">HH", 60, 71))
"""Methods that a message follows: it is delivered, or was asked for."""
_frame = struct.Struct(">BxxI").unpack_from
_tag_and_flags = struct.Struct(">QB").unpack_from
_body_size = struct.Struct(">Q").unpack_from


class Delivery(NamedTuple):
    """One message as it was delivered."""

    channel: int
    """Which of all channels of this process delivered it; a tag says nothing without it."""
    tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    properties: bytes
    """Flags and values of its properties, not decoded yet."""
    body: bytes


class Deliveries:
    """Splits the bytes of one connection into deliveries and other frames.

    There is one consumer on the connection, or one who gets messages, and nobody has any returned on it, so every
    content is its. Frames of other channels may stand between those of a message, and reads may end anywhere.
    """

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._rest = b""
        self._begun: tuple[int, bool, str, str] = (0, False, "", "")
        self._properties = b""
        self._missing = -1
        """Bytes of the body that have not come yet; below 0 while no message has begun."""
        self._parts: list[bytes] = []

    def split(self, data: bytes) -> Iterator[list[Delivery] | bytes]:
        """Everything that is complete now that `data` was received, in order: deliveries, or one other frame.

        Raises:
            ValueError: this is not AMQP.
        """
        data = self._rest + data
        found: list[Delivery] = []
        at, size = 0, len(data)
        while at + _AROUND <= size:
            kind, length = _frame(data, at)
            payload = at + 7
            end = payload + length
            if end >= size:
                break
            if data[end] != _FRAME_END:
                msg = f"a frame ends with {data[end]:#x}"
                raise ValueError(msg)
            if kind == _BODY:
                self._parts.append(data[payload:end])
                self._missing -= length
            elif kind == _HEADER:
                # Class and weight, which nobody uses, stand before the size.
                (self._missing,) = _body_size(data, payload + 4)
                self._properties = data[payload + 12 : end]
            elif kind == _METHOD and data.startswith(_WITH_CONTENT, payload):
                self._begin(data, payload)
            else:
                if found:
                    yield found
                    found = []
                yield data[at : end + 1]
            if self._missing == 0:
                found.append(self._finished())
            at = end + 1
        self._rest = data[at:]
        if found:
            yield found

    def _begin(self, data: bytes, method: int) -> None:
        at = method + len(_DELIVER)
        if data.startswith(_DELIVER, method):
            at += 1 + data[at]  # The consumer tag.
        tag, flags = _tag_and_flags(data, at)
        at += 10
        key = at + data[at - 1]
        self._begun = (
            tag,
            flags & 1 == 1,
            data[at:key].decode("utf-8", "backslashreplace"),
            data[key + 1 : key + 1 + data[key]].decode("utf-8", "backslashreplace"),
        )

    def _finished(self) -> Delivery:
        body = b"".join(self._parts)
        self._parts.clear()
        self._missing = -1
        return Delivery(self._channel, *self._begun, self._properties, body)
