"""The unit of data that flows: one record with its metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Failure", "Position", "Record"]

Position: TypeAlias = Any
"""Where a reader stands: whatever the reader needs to commit, and to resume, there. Picklable."""


@dataclass(slots=True)
class Record:
    """One unit of data, from trigger to sink.

    A step that makes several records of one passes `raw`, `meta`, `key` and `headers` on, so that every record
    can be traced to what was received. Steps put a new `body` in place and never change one: two sinks may
    hold the same record.
    """

    raw: bytes | str
    """The payload exactly as it was received; what a dead letter shows and a replay starts from."""
    body: Any = None
    """The decoded payload, replaced by each step that transforms it."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What the trigger's system says about the record: message id, receive count, time sent, ..."""
    key: Any = None
    """The partitioning key of the trigger's system: message group, routing key, Kafka key; None without one."""
    headers: dict[str, Any] = field(default_factory=dict)
    """What the sender attached to the record, typed."""
    external_id: str | None = None
    """The business key of the record; searchable, not unique (a redelivery has the same)."""

    def derive(self, body: Any) -> Record:
        """Another record of the same origin with a body of its own."""
        return Record(self.raw, body, self.meta, self.key, self.headers, self.external_id)


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that a writer could not write.

    A `TransientError` has it written again after a while, anything else makes it a dead letter.
    """

    record: Record
    error: Exception
