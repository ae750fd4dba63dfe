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
_GATE_NAP = timedelta(milliseconds=1)
"""How long a partition sleeps at the end of an epoch, which other processes or a recovery store have to end as well:
without that Bytewax spins until they have, and takes the time from them."""
_NAP = timedelta(milliseconds=10)
"""How long an idle partition that is not alone lets the others work. Epochs are common to all: a longer nap would hold
up the busy ones, and without one Bytewax spins until the others have ended their epoch."""


class TriggerSource(FixedPartitionedSource[Record, Position]):
    """A trigger as Bytewax sees it: at-least-once, committed when every sink has the records."""

    def __init__(
        self,
        trigger: Trigger,
        run: FlowRun,
        sinks: Collection[str] = (),
        *,
        retries: bool = True,
        side: str | None = None,
        alone: bool = True,
        epoch: timedelta = timedelta(0),
    ) -> None:
        """Read a trigger for a flow.

        Args:
            trigger: What is read, but for a replay.
            run: The run of the flow.
            sinks: The ids of its sinks.
            retries: Whether records that failed are read again when it is time.
            side: Id of the join that the trigger is the other one of; None for the flow's own.
            alone: Whether the flow has no other trigger.
            epoch: How long epochs are; where each batch is one, they end at once.
        """
        self._trigger = trigger
        self._run = run
        self._sinks = sinks
        self._retries = retries
        self._side = side
        self._is_only = alone
        self._epoch = epoch
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
        context = self._run.context(self._side or "trigger")
        if self._side is not None:
            # What it keeps, and its consumer group, are its own.
            context = replace(context, flow=f"{context.flow}.{self._side}")
        if self._run.replay is not None:
            replayed = LetterReader(self._run.store, self._run.replay, self._sinks)
            return _Partition(replayed, self._trigger, context.health, self._run, alone=True, epoch=self._epoch)
        with self._run.guard(context.health.name):
            reader = self._trigger.open(for_part, resume_state, context)
        self._run.readers.append(reader)
        alone = self._is_only and len(self.list_parts()) == 1
        if self._retries:
            reader = RetryingReader(reader, self._run.store, self._sinks)
            self._run.locks.append(reader.lock)
        return _Partition(reader, self._trigger, context.health, self._run, alone=alone, epoch=self._epoch)


class _Partition(StatefulSourcePartition[Record, Position]):
    def __init__(
        self, reader: Reader, trigger: Trigger, health: Health, run: FlowRun, *, alone: bool, epoch: timedelta
    ) -> None:
        self._reader = reader
        self._batch_size = trigger.batch_size
        self._resumes = trigger.resumes
        self._alone = alone
        self._epoch = epoch.total_seconds() - _GATE_NAP.total_seconds() if epoch else float("inf")
        self._health = health
        self._run = run
        self._emitted: list[tuple[float, int]] = []
        """When and how many records were handed to the epoch that is open."""
        self._closed: list[tuple[float, int]] = []
        """The same of the epochs that have ended and await the gate."""
        self._closed_at: Position = None
        self._ended_at = 0.0
        """When the last of those epochs ended."""
        self._idle_since = time.monotonic()
        self._napping = False
        self._ending = False
        self._batch = 0
        self._epoch_ends_at = float("inf")
        """When this call, or the next one, is the last of its epoch."""

    def next_batch(self) -> list[Record]:
        with self._run.guard(self._health.name):
            self._commit()
            if self._ending or self._should_end():
                return self._end()
            return self._read()

    def next_awake(self) -> datetime | None:
        if self._napping:
            return datetime.now(timezone.utc) + _NAP
        if time.monotonic() >= self._epoch_ends_at:
            return datetime.now(timezone.utc) + _GATE_NAP
        return None

    def snapshot(self) -> Position:
        with self._run.guard(self._health.name):
            position = self._reader.position()
            self._epoch_ends_at = time.monotonic() + self._epoch
            if self._emitted:
                self._closed += self._emitted
                self._closed_at = position
                self._ended_at = time.monotonic()
                self._emitted = []
            return position if self._resumes else None

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
        tally.commit_latencies.add(now - self._ended_at)
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
