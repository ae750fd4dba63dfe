"""The unit of data that flows: one record with its metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from flowspec.deadletters.letter import Letter

__all__ = ["Failure", "Position", "Record", "Trace"]

Position: TypeAlias = Any
"""Where a reader stands: whatever the reader needs to commit, and to resume, there. Picklable."""


@dataclass(slots=True)
class Trace:
    """Where a record has been: what is needed to have it make its way once more. It is never changed.

    It is not frozen: that would make it three times as dear, and polled records all have one.
    """

    body: Any = None
    """The body that its reader made of the payload, where no format of the spec does that."""
    part: tuple[int, ...] = ()
    """Which one it is of those that steps made of one: the third of the first is `(0, 2)`."""
    after: str = ""
    """Id of the step with a memory that made it of many; empty where it is the record of the trigger."""
    side: str = ""
    """Id of the join whose other trigger handed it over; empty for records of the flow's own."""
    letter: Letter | None = None
    """The letter that it was taken from, where it failed before."""
    received_at: float = 0.0
    """When the flow received it, in seconds since the epoch; 0 where nobody asks for that."""
    batch: int = 0
    """The batch of the worker in which it came."""


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
    trace: Trace | None = None
    """Kept of few records: of most there is nothing in it to be known."""

    def derive(self, body: Any) -> Record:
        """Another record of the same origin with a body of its own."""
        return Record(self.raw, body, self.meta, self.key, self.headers, self.external_id, self.trace)


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that a writer could not write.

    A `TransientError` has it written again after a while, anything else makes it a dead letter.
    """

    record: Record
    error: Exception
