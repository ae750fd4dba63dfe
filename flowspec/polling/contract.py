"""The contract of a polling trigger: its spec model, and the queries that it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias, runtime_checkable

from pydantic import Field

from flowspec.connectors import Reader, Trigger
from flowspec.fields import Duration
from flowspec.polling.interval import ClockSchedule, Cron, Interval, Schedule

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record

__all__ = ["Cursor", "Page", "Poller", "PollingTrigger", "Settler"]

Cursor: TypeAlias = Any
"""Where a trigger stands in its system: in what JSON has, or an object that gives that by `as_json()`, where making it
for each page would be dear. It is saved when all that it covers is delivered."""


@dataclass(frozen=True)
class Page:
    """What one poll found."""

    records: Sequence[Record]
    """Complete with their bodies. Where a payload cannot be decoded, the body is the `RecordError` that says why: the
    flow makes a dead letter of the record."""
    cursor: Cursor | None
    """The cursor after all of them. That of a page without records is saved as well."""
    more: bool = False
    """Whether there is more at this moment: then the next poll does not wait for the interval."""
    part: Callable[[int], Cursor] | None = None
    """The cursor after only the first n. Without it a page of which only a part was taken comes again as a whole."""


class Poller(Protocol):
    """Queries a system. Nothing is connected when it is made."""

    @property
    def what(self) -> str:
        """The query, as the status shows it; it has no secrets."""
        ...

    def poll(self, cursor: Cursor | None, most: int) -> Page:
        """Query once for what comes after `cursor`; never called twice at the same time.

        Pages are polled ahead of their delivery, so `cursor` is the one of the last page, or at the start the one that
        was saved.

        Args:
            cursor: Where to go on; None to begin as `since` says.
            most: How many records the page may have; where they may be large, it also has a bound in bytes.

        Raises:
            TransientError: the system cannot answer now; it is asked again after a while.
            FatalError: asking again cannot help.
        """
        ...

    def cancel(self) -> None:
        """Have the poll that is under way, if there is one, raise `TransientError` soon; called on another thread."""
        ...

    def close(self) -> None:
        """Free everything, after the last poll. Never raises."""
        ...


@runtime_checkable
class Settler(Protocol):
    """A poller that does something to its system with what is delivered: marks, moves or deletes it."""

    settles_before_next: bool
    """Whether the next poll would find again what is not settled yet, and so has to wait for that."""

    def settle(self, cursor: Cursor) -> None:
        """Take note that everything up to `cursor` is delivered, which is saved by now.

        Called on a thread other than that of `poll`, and once more with the saved cursor before the first poll of a
        run: a crash may have come in between.

        Raises:
            TransientError: the system cannot do it now; it is asked again after a while.
            FatalError: asking again cannot help.
        """
        ...


class PollingTrigger(Trigger, ABC):
    """A trigger of kind `polling`: the system is asked again and again for what is new.

    At-least-once: its cursor is saved in the state directory when every sink has what it covers. A slow query holds up
    nothing but itself. With several workers one of them polls.
    """

    kind = "polling"
    resumes = True

    interval: Annotated[
        Interval,
        Field(
            description="How long from the beginning of one poll to that of the next, or an object with a `cron` "
            "expression. Ticks that a slow poll misses are skipped; while there is more, polls do not wait. The first "
            "poll is made at the start.",
            examples=["250ms", {"cron": "*/5 * * * *", "time_zone": "Europe/Madrid"}],
        ),
    ] = 1.0
    timeout: Annotated[
        Duration,
        Field(
            gt=0,
            le=86_400,
            description="How long a poll may take; it is cancelled then, and made again.",
            examples=["30s"],
        ),
    ] = 60.0
    since: Annotated[
        Any,
        Field(
            description="Where a flow begins that has no saved cursor: at the `beginning`, with what comes from `now` "
            "on, or behind a value of the cursor.",
            examples=["now", "2024-05-01T00:00:00Z"],
        ),
    ] = "beginning"

    def partitions(self, workers: int) -> list[str]:
        """One worker polls."""
        return ["poll"]

    def schedule(self) -> Schedule | ClockSchedule:
        """Says when polls are due."""
        return ClockSchedule(self.interval) if isinstance(self.interval, Cron) else Schedule(self.interval)

    @abstractmethod
    def cursor_basis(self) -> dict[str, Any]:
        """What a cursor is good for only: table and column, url, folder; in what JSON has, without secrets."""

    @abstractmethod
    def poller(self, since: Any, context: WorkerContext) -> Poller:
        """What makes the queries; `since` is that of the spec, or the one that somebody has set by hand."""

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> Reader:
        """Begin to poll at the saved cursor, or at the one that a recovery store remembers."""
        from flowspec.polling.reader import PollingReader

        return PollingReader(self, context, resume)

    def sample(self, most: int, wait: float, context: WorkerContext) -> list[Record]:
        """Look at the next records: those behind the cursor that the flow has saved, or else where `since` says.

        What a flow that runs has read and not delivered yet is among them. With `since: now` and no cursor they are
        those that come within `wait` seconds. Polls are made as often as the spec says; the first, with those of what
        is there at that moment, may take as long as its `timeout`. The cursor stays as it is, and nothing is marked,
        moved or deleted.

        Raises:
            TransientError: the system cannot be reached at present.
            FatalError: it cannot be asked like that, or the saved cursor is one of something else.
        """
        from flowspec.polling.sampling import sampled

        return sampled(self, most, wait, context)
