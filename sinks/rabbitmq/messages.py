"""Records as messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pika

from flowspec.errors import FlowError, RecordError
from flowspec.expressions import Template
from flowspec.formats import format_name
from flowspec.records import Record

if TYPE_CHECKING:
    from sinks.rabbitmq.action import Publish

__all__ = ["Envelope", "Message", "is_constant"]

_MOST_BYTES = 255
"""Of a name and of most properties, as UTF-8. Source: "shortstr" in the AMQP 0-9-1 specification."""
_HIGHEST_PRIORITY = 255
_PERSISTENT = 2
_CONTENT_TYPES = {
    "json": "application/json",
    "text": "text/plain",
    "csv": "text/csv",
    "bytes": "application/octet-stream",
}
_TEXTS = ("message_id", "correlation_id", "type", "app_id", "reply_to", "content_type")
"""Properties that are templates."""


@dataclass(slots=True, eq=False)
class Message:
    """A record on its way to the broker."""

    record: Record
    exchange: str
    routing_key: str
    payload: bytes
    properties: pika.BasicProperties
    in_flight: bool = False
    """Published on a channel that is still open, and not confirmed yet."""
    confirmed: bool = False
    """The broker has it."""
    error: FlowError | None = None

    @property
    def settled(self) -> bool:
        """Whether what became of it is known."""
        return self.confirmed or self.error is not None

    def is_returned_as(self, method: pika.spec.Basic.Return, properties: pika.BasicProperties, body: bytes) -> bool:
        """Whether the broker returned this message, to which it may have added headers."""
        return (
            method.exchange == self.exchange
            and method.routing_key == self.routing_key
            and properties.message_id == self.properties.message_id
            and properties.correlation_id == self.properties.correlation_id
            and body == self.payload
            and (self.properties.headers or {}).items() <= (properties.headers or {}).items()
        )


class Envelope:
    """Makes messages of records and their payloads."""

    def __init__(self, action: Publish) -> None:
        self._exchange = action.exchange
        self._routing_key = action.routing_key
        self._texts = {name: text for name in _TEXTS if (text := getattr(action, name)) is not None}
        self._priority = action.priority
        self._headers = {name: text for name, text in action.headers.items() if isinstance(text, Template)}
        self._fixed_headers = {name: value for name, value in action.headers.items() if name not in self._headers}
        self._fixed: dict[str, Any] = {
            "content_type": _CONTENT_TYPES.get(format_name(action.format)),
            "delivery_mode": _PERSISTENT if action.persistent else None,
            "expiration": None if action.expiration is None else str(round(action.expiration * 1000)),
        }

    def wrap(self, records: Sequence[Record], payloads: Sequence[bytes]) -> list[Message]:
        """A message for each record.

        Raises:
            RecordError: of the first record that cannot have one.
        """
        exchanges = _short(self._exchange.values(records), "exchange")
        routing_keys = _short(self._routing_key.values(records), "routing_key")
        return [
            Message(*parts)
            for parts in zip(records, exchanges, routing_keys, payloads, self._properties(records), strict=True)
        ]

    def _properties(self, records: Sequence[Record]) -> list[pika.BasicProperties]:
        columns: dict[str, Iterable[Any]] = {
            name: _short(template.values(records), name) for name, template in self._texts.items()
        }
        if "message_id" not in columns:
            columns["message_id"] = [record.external_id if _fits(record.external_id) else None for record in records]
        if isinstance(self._priority, Template):
            columns["priority"] = map(_priority, self._priority.values(records))
        elif self._priority is not None:
            columns["priority"] = [self._priority] * len(records)
        if self._headers or self._fixed_headers:
            columns["headers"] = self._all_headers(records)
        made = []
        for values in zip(*columns.values(), strict=True):
            own = {name: None if value == "" else value for name, value in zip(columns, values, strict=True)}
            made.append(pika.BasicProperties(**{**self._fixed, **own}))
        return made

    def _all_headers(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        columns = [template.values(records) for template in self._headers.values()]
        rows = zip(*columns, strict=True) if columns else [()] * len(records)
        return [{**self._fixed_headers, **dict(zip(self._headers, row, strict=True))} for row in rows]


def is_constant(template: Template) -> bool:
    """Whether it is the same text for every record."""
    return "{" not in template.source


def _fits(text: str | None) -> bool:
    # A character has four bytes at most.
    return text is None or len(text) <= _MOST_BYTES // 4 or len(text.encode(errors="replace")) <= _MOST_BYTES


def _short(texts: list[str], field: str) -> list[str]:
    for text in texts:
        if not _fits(text):
            msg = f"{field} has more than {_MOST_BYTES} bytes: {text[:60]!r}..."
            raise RecordError(msg)
    return texts


def _priority(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) > _HIGHEST_PRIORITY:
        msg = f"priority is a whole number from 0 to {_HIGHEST_PRIORITY}, not {text[:60]!r}"
        raise RecordError(msg)
    return int(text)
