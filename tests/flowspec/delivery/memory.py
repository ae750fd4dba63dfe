"""A connector that reads and writes in memory and keeps a journal of everything that happened, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from pydantic import ConfigDict, Field

from flowspec.connectors import Account, Action, StreamTrigger, WorkerContext
from flowspec.deadletters.letter import DeadLetter
from flowspec.deadletters.store import LetterStore
from flowspec.delivery.run import FlowRun
from flowspec.delivery.sink import Barrier, SinkWriter
from flowspec.delivery.source import TriggerSource
from flowspec.records import Failure, Position, Record

__all__ = [
    "Event",
    "Fault",
    "Journal",
    "MemoryAction",
    "MemoryTrigger",
    "assemble",
    "bodies",
    "letters_of",
    "numbered",
    "run_of",
]

Fault: TypeAlias = "Exception | dict[Any, Exception]"
"""What one write does instead of succeeding: raise, or fail on the bodies that are named."""


@dataclass(frozen=True)
class Event:
    """One thing that a reader or writer did."""

    who: str
    what: str
    detail: Any = None


@dataclass
class Journal:
    """What all readers and writers of a flow did, in order."""

    events: list[Event] = field(default_factory=list)
    watch: Callable[[Event], None] = lambda event: None
    """Called with each event as it happens: where a test steps in."""

    def add(self, who: str, what: str, detail: Any = None) -> None:
        event = Event(who, what, detail)
        self.events.append(event)
        self.watch(event)

    def details(self, who: str, what: str) -> list[Any]:
        return [event.detail for event in self.events if (event.who, event.what) == (who, what)]

    def written(self, sink: str) -> list[Any]:
        """The bodies that `sink` confirmed, in order."""
        return [body for batch in self.details(sink, "write") for body in batch]

    def committed(self) -> int:
        """The last position that was committed."""
        return max(self.details("trigger", "commit"), default=0)

    def early_commits(self, *sinks: str) -> list[Event]:
        """The commits of positions that not every sink had written completely at that moment."""
        written: dict[str, set[Any]] = {sink: set() for sink in sinks}
        early = []
        for event in self.events:
            if event.what == "write":
                written[event.who] |= set(event.detail)
            elif event.what == "commit" and any(not set(range(event.detail)) <= done for done in written.values()):
                early.append(event)
        return early


class _MemoryReader:
    def __init__(self, trigger: MemoryTrigger, resume: Position | None, context: WorkerContext) -> None:
        self._trigger = trigger
        self._journal = trigger.journal
        self._context = context
        self._next: int = resume or 0
        self._journal.add("trigger", "open", resume)

    def read(self, most: int, wait: float) -> list[Record]:
        self._journal.add("trigger", "read", wait)
        if self._next in self._trigger.faults:
            raise self._trigger.faults[self._next]
        taken = list(self._trigger.records[self._next : self._next + most])
        if taken:
            self._context.health.up()
            self._next += len(taken)
            self._journal.add("trigger", "handed", bodies(taken))
        elif self._trigger.finite:
            raise StopIteration
        else:
            threading.Event().wait(wait)
        return taken

    def position(self) -> Position:
        return self._next

    def commit(self, position: Position) -> None:
        self._journal.add("trigger", "commit", position)

    def stop(self) -> None:
        self._journal.add("trigger", "stop")

    def close(self, timeout: float) -> None:
        self._journal.add("trigger", "close", timeout)


class MemoryTrigger(StreamTrigger):
    """Hands over `records`, from the first one or where it is resumed."""

    resumes = True

    model_config = ConfigDict(arbitrary_types_allowed=True)

    connector: Literal["memory"] = "memory"
    event: Literal["listen"] = "listen"
    account: Account | str | None = None
    journal: Any
    records: Any
    finite: bool = True
    faults: dict[int, Any] = Field(default_factory=dict)
    """Errors that `read` raises when it stands at a position."""

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> _MemoryReader:
        return _MemoryReader(self, resume, context)


def _of(record: Record, errors: dict[Any, Exception]) -> Exception | None:
    return errors.get(record.body) if isinstance(record.body, Hashable) else None


class _MemoryWriter:
    def __init__(self, action: MemoryAction, name: str) -> None:
        self._action = action
        self._journal = action.journal
        self._name = name
        self._faults = iter(action.faults)

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        self._journal.add(self._name, "try", bodies(records))
        fault: Fault = next(self._faults, {})
        if isinstance(fault, Exception):
            raise fault
        for record in records:
            if error := _of(record, self._action.poison):
                raise error
        failures = [Failure(record, error) for record in records if (error := _of(record, fault))]
        self._journal.add(self._name, "write", [record.body for record in records if not _of(record, fault)])
        return failures

    def close(self) -> None:
        self._journal.add(self._name, "close")


class MemoryAction(Action):
    """Notes what it is given."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    connector: Literal["memory"] = "memory"
    action: Literal["note"] = "note"
    account: Account | str | None = None
    journal: Any
    faults: list[Any] = Field(default_factory=list)
    """What each write does, the first one first; those after them succeed."""
    poison: dict[Any, Any] = Field(default_factory=dict)
    """Errors that are raised whenever a batch holds the body."""

    def open(self, context: WorkerContext) -> _MemoryWriter:
        return _MemoryWriter(self, context.health.name)


def bodies(records: Sequence[Record]) -> list[Any]:
    return [record.body for record in records]


def numbered(count: int) -> list[Record]:
    """Records with the bodies 0, 1, 2 ..., as a decoder of JSON would give them."""
    return [Record(str(number).encode(), number, {"id": f"m{number}"}) for number in range(count)]


class KeptLetters(LetterStore):
    """The dead-letter store, and what it was given in `kept`."""

    def __init__(self, flow: str, state_dir: Path) -> None:
        super().__init__(flow, state_dir)
        self.kept: list[DeadLetter] = []

    def add(self, letters: Sequence[DeadLetter]) -> None:
        super().add(letters)
        self.kept += letters


def run_of(state_dir: Path, **options: Any) -> FlowRun:
    run = FlowRun("test", state_dir, **options)
    run.dead_letters = run.store = KeptLetters(run.flow, run.state_dir)
    return run


def letters_of(run: FlowRun) -> list[DeadLetter]:
    assert isinstance(run.dead_letters, KeptLetters)
    return run.dead_letters.kept


def assemble(run: FlowRun, trigger: MemoryTrigger, actions: dict[str, MemoryAction], hops: int = 0) -> Dataflow:
    """The dataflow of the compiler with `hops` operators that nobody fused before every sink."""
    flow = Dataflow("test")
    stream: Any = op.input("trigger", flow, TriggerSource(trigger, run, list(actions)))
    for number in range(hops):
        stream = op.map(f"hop-{number}", stream, lambda record: record)
    for name, action in actions.items():
        written = op.flat_map_batch(f"write-{name}", stream, SinkWriter(name, action, run))
        op.output(f"barrier-{name}", written, Barrier())
    return flow
