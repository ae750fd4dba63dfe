"""The one adapter that makes a Bytewax source of any trigger.

What it rests on (Bytewax 0.21): `snapshot` is called at the end of every epoch, with or without a recovery store,
and `next_batch` is called in an epoch only when all earlier epochs have passed every output on every worker. So the
position taken in `snapshot` is delivered when `next_batch` is called again. A partition is closed before downstream
has processed its last epoch, so nothing is ever committed there.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from flowspec.deadletters.readers import LetterReader, RetryingReader
from flowspec.records import Position, Record, Trace

if TYPE_CHECKING:
    from flowspec.connectors import Reader, Trigger
    from flowspec.delivery.health import Health
    from flowspec.delivery.run import FlowRun

__all__ = ["TriggerSource"]

_WAIT_ALONE = 0.05
"""Seconds to wait inside `read`: a record that arrives ends the wait at once, which no timer of Bytewax does."""
_NAP = timedelta(milliseconds=10)
"""How long an idle partition that is not alone lets the others work. Epochs are common to all: a longer nap would hold
up the busy ones, and without one Bytewax spins until the others have ended their epoch."""


class TriggerSource(FixedPartitionedSource[Record, Position]):
    """A trigger as Bytewax sees it: at-least-once, committed when every sink has the records."""

    def __init__(self, trigger: Trigger, run: FlowRun, sinks: Collection[str], *, retries: bool = True) -> None:
        """Read a trigger for a flow with those sinks.

        Args:
            trigger: What is read, but for a replay.
            run: The run of the flow.
            sinks: Their ids.
            retries: Whether records that failed are read again when it is time.
        """
        self._trigger = trigger
        self._run = run
        self._sinks = sinks
        self._retries = retries
        self._partitions: list[str] = []

    def list_parts(self) -> list[str]:
        """All partitions: every worker can read each, and Bytewax spreads them evenly."""
        # Asked for once: the trigger may have to ask its system.
        if self._run.replay is not None:
            return ["replay"]
        self._partitions = self._partitions or self._trigger.partitions(self._run.workers)
        return self._partitions

    def build_part(self, step_id: str, for_part: str, resume_state: Position | None) -> _Partition:
        """Open the reader of one partition."""
        context = self._run.context("trigger")
        if self._run.replay is not None:
            replayed = LetterReader(self._run.store, self._run.replay, self._sinks)
            return _Partition(replayed, self._trigger.batch_size, True, context.health, self._run)
        with self._run.guard("trigger"):
            reader = self._trigger.open(for_part, resume_state, context)
        self._run.readers.append(reader)
        alone = len(self.list_parts()) == 1
        if self._retries:
            reader = RetryingReader(reader, self._run.store, self._sinks)
            self._run.locks.append(reader.lock)
        return _Partition(reader, self._trigger.batch_size, alone, context.health, self._run)


class _Partition(StatefulSourcePartition[Record, Position]):
    def __init__(self, reader: Reader, batch_size: int, alone: bool, health: Health, run: FlowRun) -> None:
        self._reader = reader
        self._batch_size = batch_size
        self._alone = alone
        self._health = health
        self._run = run
        self._emitted: list[tuple[float, int]] = []
        """When and how many records were handed to the epoch that is open."""
        self._closed: list[tuple[float, int]] = []
        """The same of the epochs that have ended and await the gate."""
        self._closed_at: Position = None
        self._idle_since = time.monotonic()
        self._napping = False
        self._ending = False
        self._batch = 0

    def next_batch(self) -> list[Record]:
        with self._run.guard("trigger"):
            self._commit()
            if self._ending or self._should_end():
                return self._end()
            return self._read()

    def next_awake(self) -> datetime | None:
        return datetime.now(timezone.utc) + _NAP if self._napping else None

    def snapshot(self) -> Position:
        with self._run.guard("trigger"):
            position = self._reader.position()
            if self._emitted:
                self._closed += self._emitted
                self._closed_at = position
                self._emitted = []
            return position

    def _read(self) -> list[Record]:
        run = self._run
        most = self._batch_size
        if run.limit is not None:
            most = min(most, run.limit - run.tally.received)
        asked = self._health.asking
        try:
            # While an epoch is open its records go one operator further after each call of ours: waiting holds them up.
            records = self._reader.read(most, _WAIT_ALONE if self._alone and not self._emitted else 0.0)
        except StopIteration:
            return self._end()
        self._napping = not (records or self._alone)
        if records:
            self._emitted.append((time.monotonic(), len(records)))
            run.tally.received += len(records)
            run.tally.in_flight += len(records)
            run.tally.last_record_at = time.time()
            if run.journal is not None and run.journal.keeps_all:
                self._batch += 1
                _note_arrival(records, run.tally.last_record_at, self._batch)
        elif self._is_idle() and not asked:
            return self._end()
        return records

    def _is_idle(self) -> bool:
        """Whether nothing came for long enough; a system that cannot be reached is no empty one."""
        now = time.monotonic()
        if self._emitted or self._health.state == "down":
            self._idle_since = now
        if self._run.until_idle is None or now - self._idle_since < self._run.until_idle:
            return False
        return not (isinstance(self._reader, RetryingReader) and self._reader.is_waiting())

    def _commit(self) -> None:
        if not self._closed:
            return
        self._reader.commit(self._closed_at)
        now = time.monotonic()
        tally = self._run.tally
        for emitted_at, count in self._closed:
            tally.latencies.add(now - emitted_at, count)
            tally.in_flight -= count
        self._closed = []
        self._idle_since = now

    def _should_end(self) -> bool:
        run = self._run
        return run.stopping.is_set() or (run.limit is not None and run.tally.received >= run.limit)

    def _end(self) -> list[Record]:
        self._napping = False
        if not self._ending:
            self._ending = True
            self._reader.stop()
        if self._emitted or self._closed:
            return []
        self._reader.close(self._run.close_time)
        raise StopIteration


def _note_arrival(records: Sequence[Record], now: float, batch: int) -> None:
    arrived = Trace(received_at=now, batch=batch)
    for record in records:
        known = record.trace
        record.trace = arrived if known is None else replace(known, received_at=now, batch=batch)
