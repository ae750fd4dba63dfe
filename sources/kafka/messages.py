"""What Kafka hands over, as records."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowspec.records import Record

if TYPE_CHECKING:
    from confluent_kafka import Message

__all__ = ["TOMBSTONE", "Partition", "size_of", "to_records"]

_log = logging.getLogger(__name__)

Partition: TypeAlias = "tuple[str, int]"
"""A topic, and the number of a partition of it."""


class _NoValue(bytes):
    """A payload that is not there, which an empty one is not."""


TOMBSTONE: Final = _NoValue()
"""The payload of a message that has none: in a compacted topic it deletes what its key stands for."""
_ASK_FOR_HEADERS = methodcaller("headers")
_OVERHEAD = 512
"""About how many bytes of memory a message takes beside its value."""


def to_records(
    messages: Sequence[Message], assignments: Mapping[Partition, int]
) -> tuple[list[Record], dict[Partition, int]]:
    """The records of messages, their payloads not decoded yet, and the next offset of each partition among them.

    A message of a partition that is not in `assignments` is left out.
    """
    records: list[Record] = []
    ends: dict[Partition, int] = {}
    topic: str | None = None
    partition: int | None = None
    assignment: int | None = None
    offset = milliseconds = -1
    common: dict[str, Any] = {}
    # This loop is most of what a record costs here: what many messages in a row have in common is looked at once.
    for message, headers in zip(messages, _all_headers(messages), strict=True):
        if message.partition() != partition or message.topic() != topic:
            if assignment is not None:
                ends[topic, partition] = offset + 1  # type: ignore[index]
            topic, partition = message.topic(), message.partition()
            assignment = assignments.get((topic, partition))  # type: ignore[arg-type]
            common = {}
        if assignment is None:
            continue
        offset = message.offset()  # type: ignore[assignment]
        if (now := message.timestamp()[1]) != milliseconds or not common:
            # A copy of a dictionary is made in half the time of a new one.
            milliseconds = now
            common = {
                "topic": topic,
                "partition": partition,
                "offset": offset,
                "timestamp": _time(now),
                "tombstone": False,
                "assignment": assignment,
            }
        meta = common.copy()
        meta["offset"] = offset
        raw, key = message.value(), message.key()
        if raw is None:
            raw, meta["tombstone"] = TOMBSTONE, True
        records.append(
            Record(
                raw,
                None,
                meta,
                None if key is None else _text(key),
                {} if headers is None else _headers(headers),
            )
        )
    if assignment is not None:
        ends[topic, partition] = offset + 1  # type: ignore[index]
    return records, ends


def size_of(messages: list[Message]) -> int:
    """About how many bytes of memory messages take, for the prefetch bound."""
    return sum(map(len, messages)) + _OVERHEAD * len(messages)


def _time(milliseconds: int) -> datetime | None:
    """When a message was made; None where it does not say, or says nothing that a calendar has."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc) if milliseconds >= 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _all_headers(messages: Sequence[Message]) -> list[Any]:
    """The headers of each message.

    The client crashes the process where it is asked in Python for headers one of whose names is not UTF-8, and what it
    then holds must not be touched: only a call from C sees that it failed.
    """
    found: list[Any] = []
    asked = map(_ASK_FOR_HEADERS, messages)
    while True:
        try:
            found.extend(asked)
        except SystemError as error:
            odd = messages[len(found)]
            where = f"{odd.topic()}/{odd.partition()}, offset {odd.offset()}"
            _log.warning("%s: the headers cannot be read and are left out: %s", where, error.__cause__)
            found.append(None)
        else:
            return found


def _headers(pairs: Any) -> dict[str, Any]:
    """Headers by their names; a name that comes again has the list of its values."""
    headers: dict[str, Any] = {}
    for name, value in pairs:
        typed = None if value is None else _text(value)
        if name not in headers:
            headers[name] = typed
        elif isinstance(headers[name], list):
            headers[name].append(typed)
        else:
            headers[name] = [headers[name], typed]
    return headers
