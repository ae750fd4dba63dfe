"""A step with a memory as Bytewax sees it: keyed, exchanged between the workers, and remembered."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import bytewax.operators as op
from bytewax.operators import StatefulBatchLogic

from flowspec.deadletters.letter import DeadLetter
from flowspec.expressions.clock import now
from flowspec.records import Record
from flowspec.stateful.buckets import Bucket, bucket_of

if TYPE_CHECKING:
    from bytewax.dataflow import Stream

    from flowspec.delivery.run import FlowRun
    from flowspec.policies import ErrorPolicy
    from flowspec.stateful.contract import Item, Keyed, Memory, StatefulStep

__all__ = ["Passing", "StatefulOperator"]

_Numbered: TypeAlias = "tuple[int, str, Item]"
"""A record on its way to its memory: the how many'th it is, and its key."""
_Left: TypeAlias = "tuple[int, Record]"
"""A record that goes on, with the number of the one that made it do so."""
_FIRST = -1
"""Of what had to wait for its time."""


class Passing:
    """Tells the records that a part of a flow is for from those that only pass it.

    What a step with a memory has made of many records, and what then failed, makes its way once more from behind that
    step.
    """

    def __init__(self, reached: Collection[str], *, keeps: bool = True) -> None:
        """Let records pass that were made by other steps than those that the part comes after.

        Args:
            reached: Their ids, and the empty one of what the trigger hands over.
            keeps: Whether those that pass are answered as well.
        """
        self._reached = frozenset(reached)
        self._keeps = keeps

    def sorted(self, records: list[Record]) -> tuple[list[Record], list[Record]]:
        """The records that the part is for, and those that pass."""
        past = self.passing(records)
        if not past:
            return records, []
        return [record for record in records if not self._passes(record)], past if self._keeps else []

    def passing(self, records: list[Record]) -> list[Record]:
        """The records that pass."""
        return [record for record in records if self._passes(record)]

    def _passes(self, record: Record) -> bool:
        return record.trace is not None and record.trace.after not in self._reached


class StatefulOperator:
    """Has the records of a stream pass a step that remembers."""

    def __init__(
        self, name: str, step: StatefulStep, run: FlowRun, on_error: ErrorPolicy, later: Collection[str]
    ) -> None:
        """Make the operator of a step.

        Args:
            name: Id of the step; its state is kept under it.
            step: The step.
            run: The run of the flow.
            on_error: What happens to records that the memory fails on.
            later: The ids of the steps and sinks that come after it.
        """
        self.name = name
        self._step = step
        self._outlet = _Outlet(name, run, on_error)
        self._run = run
        self._later = frozenset(later)

    def through(self, keyed: Stream[Keyed]) -> Stream[Record]:
        """What goes on of records that have their keys."""
        placed = op.flat_map_batch(f"place-{self.name}", keyed, _Places())
        remembered = op.stateful_batch(f"remember-{self.name}", placed, self._logic)
        return op.flat_map_batch(f"order-{self.name}", remembered, _in_order)

    def was_here(self, record: Record) -> bool:
        """Whether a record has passed the step before, and failed later."""
        letter = None if record.trace is None else record.trace.letter
        return letter is not None and letter.step in self._later

    def memory(self, state: Any | None) -> Memory[Any]:
        """What the step remembers under one key."""
        return self._step.memory(state, self.name)

    def _logic(self, snapshot: bytes | None) -> _Logic:
        return _Logic(snapshot, self, self._outlet, self._run)


class _Places:
    """Gives each record its bucket, and a number: Bytewax hands over bucket by bucket, and order shall be kept."""

    def __init__(self) -> None:
        self._numbers = count()

    def __call__(self, keyed: list[Keyed]) -> list[tuple[str, _Numbered]]:
        return [(bucket_of(key), (next(self._numbers), key, item)) for key, item in keyed]


def _in_order(left: list[tuple[str, _Left]]) -> list[Record]:
    return [record for _, (_, record) in sorted(left, key=_number)]


def _number(left: tuple[str, _Left]) -> int:
    return left[1][0]


class _Outlet:
    def __init__(self, name: str, run: FlowRun, on_error: ErrorPolicy) -> None:
        self._name = name
        self._run = run
        self._on_error = on_error
        self._counts = run.tally.places[name]
        self._dropped: list[Record] = []
        self._absorbed: list[Record] = []
        self._failed: list[DeadLetter] = []

    def drop(self, records: Sequence[Record]) -> None:
        self._dropped += records

    def absorb(self, records: Sequence[Record]) -> None:
        self._absorbed += records

    def fail(self, record: Record, error: Exception) -> None:
        self._failed.append(DeadLetter(record, self._name, error, attempts=1, first_try=time.time()))

    def settle(self, passed: int) -> None:
        """Settle what becomes of the records of a batch, of which so many go on."""
        dropped, absorbed, failed = self._dropped, self._absorbed, self._failed
        self._dropped, self._absorbed, self._failed = [], [], []
        counts, tally, journal = self._counts, self._run.tally, self._run.journal
        counts.passed += passed
        counts.filtered += len(dropped)
        tally.filtered += len(dropped)
        counts.absorbed += len(absorbed)
        tally.absorbed += len(absorbed)
        if journal is not None:
            if journal.keeps_all:
                journal.filtered(dropped, self._name)
            journal.delivered(absorbed, self._name)
        self._run.failures.settle(failed, self._on_error)


class _Logic(StatefulBatchLogic["_Numbered", "_Left", bytes]):
    """A bucket of memories, as Bytewax calls it."""

    def __init__(self, snapshot: bytes | None, operator: StatefulOperator, outlet: _Outlet, run: FlowRun) -> None:
        self._bucket = Bucket(snapshot, operator.memory)
        self._operator = operator
        self._outlet = outlet
        self._run = run

    def on_batch(self, values: list[_Numbered]) -> tuple[list[_Left], bool]:
        with self._run.guard(self._operator.name):
            left: list[_Left] = []
            for number, key, item in values:
                memory = self._bucket.touch(key)
                if self._operator.was_here(item[0]):
                    left.append((number, memory.again(item[0])))
                else:
                    left += [(number, record) for record in memory.take([item], self._outlet)]
            return self._settled(left, {key for _, key, _ in values})

    def on_notify(self) -> tuple[list[_Left], bool]:
        with self._run.guard(self._operator.name):
            keys = list(self._bucket.take_due(now().timestamp()))
            left = [(_FIRST, record) for key in keys for record in self._bucket.touch(key).wake(self._outlet)]
            return self._settled(left, keys)

    def on_eof(self) -> tuple[list[_Left], bool]:
        with self._run.guard(self._operator.name):
            # A flow that is stopped goes on another time.
            keys = self._bucket.keys() if self._run.data_has_ended else []
            left = [(_FIRST, record) for key in keys for record in self._bucket.touch(key).end(self._outlet)]
            return self._settled(left, keys)

    def notify_at(self) -> datetime | None:
        with self._run.guard(self._operator.name):
            due = self._bucket.due()
            return None if due is None else datetime.fromtimestamp(due, timezone.utc)

    def snapshot(self) -> bytes:
        with self._run.guard(self._operator.name):
            return self._bucket.snapshot()

    def _settled(self, left: list[_Left], keys: Iterable[str]) -> tuple[list[_Left], bool]:
        self._outlet.settle(len(left))
        self._bucket.settle(keys)
        return left, self._bucket.is_empty()
