"""Records as messages of Kafka."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias

from flowspec.errors import RecordError
from flowspec.formats import encode_all
from flowspec.records import Failure, Record

if TYPE_CHECKING:
    from sinks.kafka.produce import Produce

__all__ = ["Message", "MessageMaker", "is_topic"]

_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}", re.ASCII)
"""Source: "Topic naming" in Apache Kafka's `Topic` class."""
_BY_KEY = -1
_HIGHEST_PARTITION = 2**31 - 1


Message: TypeAlias = "tuple[str, bytes | None, bytes | None, int, list[tuple[str, bytes]] | None]"
"""Topic, value, key, partition and headers: what a producer is given."""


def is_topic(name: str) -> bool:
    """Whether a topic can have this name."""
    return _TOPIC.fullmatch(name) is not None


class MessageMaker:
    """Makes the messages of an action."""

    def __init__(self, action: Produce) -> None:
        self._action = action
        self._encode = action.encoder()

    def make(self, records: Sequence[Record]) -> tuple[Sequence[Record], list[Message], list[Failure]]:
        """The records that are messages, their messages beside them, and the others.

        Raises:
            TransientError: none can be made at present.
            FatalError: none can be made, ever.
        """
        good, payloads, failures = encode_all(records, self._encode_body)
        try:
            return good, self._rows(good, payloads, whole=True), failures
        except RecordError:
            return self._one_by_one(good, payloads, failures)

    def _one_by_one(
        self, records: Sequence[Record], payloads: Sequence[bytes], failures: list[Failure]
    ) -> tuple[list[Record], list[Message], list[Failure]]:
        good: list[Record] = []
        messages: list[Message] = []
        for record, payload in zip(records, payloads, strict=True):
            try:
                messages += self._rows([record], [payload], whole=False)
                good.append(record)
            except RecordError as error:
                failures.append(Failure(record, error))
        return good, messages, failures

    def _encode_body(self, body: Any) -> Any:
        return None if body is None else self._encode(body)

    def _rows(self, records: Sequence[Record], payloads: Sequence[bytes | None], *, whole: bool) -> list[Message]:
        """The messages of a whole batch, or of one record whose expressions are evaluated carefully."""

        def values(source: Any) -> Sequence[Any]:
            return source.values(records) if whole else [source.value(records[0])]

        action = self._action
        topics: Iterable[str] = (
            repeat(action.topic.source) if action.has_one_topic else map(_topic, values(action.topic))
        )
        keys: Iterable[bytes | None] = repeat(None) if action.key is None else map(_key, values(action.key))
        partitions: Iterable[int] = (
            repeat(_BY_KEY) if action.partition is None else map(_partition, values(action.partition))
        )
        headers: Iterable[list[tuple[str, bytes]] | None] = repeat(None)
        if action.headers:
            columns = [_headers(name, values(template)) for name, template in action.headers.items()]
            headers = map(list, zip(*columns, strict=True))
        return list(zip(topics, payloads, keys, partitions, headers, strict=False))


def _topic(name: str) -> str:
    if not is_topic(name):
        msg = f"topic must be 1 to 249 letters, digits, '.', '_' and '-', not {name[:300]!r}"
        raise RecordError(msg)
    return name


def _key(value: Any) -> bytes | None:
    if value is None or type(value) is bytes:
        return value
    if type(value) in (int, float):
        return str(value).encode()
    if not isinstance(value, str):
        msg = f"key must be a text, bytes, a number or null, not {type(value).__name__}"
        raise RecordError(msg)
    return _encoded(value, "key")


def _partition(value: Any) -> int:
    if value is None:
        return _BY_KEY
    if type(value) is not int or not 0 <= value <= _HIGHEST_PARTITION:
        msg = f"partition must be a whole number from 0, or null for one by key, not {str(value)[:100]!r}"
        raise RecordError(msg)
    return value


def _headers(name: str, texts: Sequence[str]) -> list[tuple[str, bytes]]:
    return [(name, _encoded(text, f"header {name!r}")) for text in texts]


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        msg = f"{what} cannot be encoded: {error}"
        raise RecordError(msg) from error
