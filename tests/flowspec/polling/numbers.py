"""A trigger that polls numbers from memory, as a test puts them there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import TransientError
from flowspec.polling import Page, PollingTrigger
from flowspec.polling.reader import PollingReader
from flowspec.records import Record

__all__ = ["Numbers", "PollNumbers", "opened"]


@dataclass
class Numbers:
    """What the system has, and how it behaves."""

    there: list[int] = field(default_factory=list)
    most: int = 1_000_000
    """How many it gives at once."""
    errors: list[Exception] = field(default_factory=list)
    """Raised by the next polls, one each."""
    polls: list[Any] = field(default_factory=list)
    """The cursors of the polls so far."""
    settled: list[Any] = field(default_factory=list)
    settle_errors: list[Exception] = field(default_factory=list)
    blocks: threading.Event | None = None
    """While it is not set, polls wait for it, or for their end."""


class PollNumbers(PollingTrigger):
    """Poll Numbers: starts the flow for each number."""

    connector: Annotated[Literal["memory"], Field(description="For tests.")] = "memory"
    event: Annotated[Literal["poll-numbers"], Field(description="For tests.")] = "poll-numbers"
    account: None = None
    column: str = "n"
    settles: bool = False
    parts: bool = True
    numbers: ClassVar[Numbers]

    def cursor_basis(self) -> dict[str, Any]:
        return {"column": self.column}

    def poller(self, since: Any, context: WorkerContext) -> _Poller:
        return (_SettlingPoller if self.settles else _Poller)(self.numbers, since, parts=self.parts)


class _Poller:
    what = "numbers above the last one"

    def __init__(self, numbers: Numbers, since: Any, *, parts: bool) -> None:
        self._numbers = numbers
        self._since = since
        self._parts = parts
        self._cancelled = threading.Event()

    def poll(self, cursor: Any, most: int) -> Page:
        self._numbers.polls.append(cursor)
        while self._numbers.blocks is not None and not self._numbers.blocks.wait(0.01):
            if self._cancelled.is_set():
                self._cancelled.clear()
                msg = "cancelled"
                raise TransientError(msg)
        if self._numbers.errors:
            raise self._numbers.errors.pop(0)
        there = sorted(self._numbers.there)
        if cursor is None and self._since == "now":
            return Page([], {"n": there[-1] if there else 0})
        last = cursor["n"] if cursor else 0 if self._since == "beginning" else self._since
        found = [number for number in there if number > last]
        taken = found[: min(most, self._numbers.most)]
        return Page(
            [Record(str(number), number) for number in taken],
            {"n": taken[-1]} if taken else cursor,
            more=len(found) > len(taken),
            part=(lambda count: {"n": taken[count - 1]}) if self._parts else None,
        )

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self._numbers.blocks = None


class _SettlingPoller(_Poller):
    settles_before_next = True

    def settle(self, cursor: Any) -> None:
        if self._numbers.settle_errors:
            raise self._numbers.settle_errors.pop(0)
        self._numbers.settled.append(cursor)


@contextmanager
def opened(trigger: PollNumbers, state_dir: Path, health: Health | None = None) -> Iterator[PollingReader]:
    """A reader without a flow."""
    context = WorkerContext("flow", 0, 1, threading.Event(), health or Health("trigger"), state_dir=state_dir)
    reader = PollingReader(trigger, context)
    try:
        yield reader
    finally:
        reader.close(5.0)
