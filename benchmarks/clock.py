"""Timing a client from its first records on: start-up is not what is measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.measure import Result
from flowspec.connectors import Account, Action

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext, Writer
    from flowspec.records import Failure, Record

__all__ = ["Clock", "CountedAction"]

_SHARE = 0.9
"""The tail, where buffers run dry, is nobody's speed."""


class Clock:
    """Times from the first records that are done until nine of ten are; safe to use from any thread."""

    def __init__(self, total: int, of: int) -> None:
        """Expect `total` records, which are what a filter leaves of `of`: it is these that are timed."""
        self._total = total
        self._of = of
        self._lock = threading.Lock()
        self._first = 0
        self._started = (0.0, 0.0)
        self._result: Result | None = None
        self.done = 0

    @property
    def finished(self) -> bool:
        """Whether all records are done."""
        return self.done >= self._total

    def count(self, records: int) -> None:
        """Say that so many more records are done."""
        with self._lock:
            if not self.done:
                self._first, self._started = records, (time.perf_counter(), time.process_time())
            self.done += records
            if self._result is None and self.done > self._first and self.done >= self._total * _SHARE:
                wall, cpu = self._started
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                counted = (self.done - self._first) * self._of / self._total
                self._result = Result(counted / wall, cpu / counted * 1e6)

    def result(self) -> Result:
        """The result.

        Raises:
            RuntimeError: records are missing.
        """
        if self._result is None:
            msg = f"only {self.done} of {self._total} records were done"
            raise RuntimeError(msg)
        return self._result


class CountedAction(Action):
    """Another sink, whose confirmed records are counted."""

    connector: Literal["counted"] = "counted"
    action: Literal["count"] = "count"
    account: Account | str | None = None
    sink: Any
    clock: Any

    def open(self, context: WorkerContext) -> _CountingWriter:
        """Open the sink."""
        return _CountingWriter(self.sink.open(context), self.clock)


class _CountingWriter:
    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        failures = self._writer.write(records)
        self._clock.count(len(records) - len(failures))
        return failures

    def close(self) -> None:
        self._writer.close()
