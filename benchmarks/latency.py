"""How long a message takes from its sender to the sink when there is little to do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.engine import run
from benchmarks.measure import note, show
from flowspec.connectors import Account, Action, StreamTrigger, WorkerContext
from flowspec.delivery.run import FlowRun
from flowspec.spec import FlowSpec

if TYPE_CHECKING:
    from benchmarks.senders import Sender
    from flowspec.records import Failure, Record

__all__ = ["Line", "main"]


@dataclass(frozen=True)
class Line:
    """A trigger, and who sends to it."""

    name: str
    trigger: StreamTrigger
    sender: Sender
    address: str
    target: str
    per_second: int
    messages: int

    @property
    def warm_up(self) -> int:
        """Messages that are not counted: Java compiles its code meanwhile."""
        return self.messages // 2


class _Stopwatch(Action):
    """Notes the seconds since each record's `sent`."""

    connector: Literal["stopwatch"] = "stopwatch"
    action: Literal["note"] = "note"
    account: Account | str | None = None
    seconds: Any

    def open(self, context: WorkerContext) -> _StopwatchWriter:
        return _StopwatchWriter(self.seconds)


class _StopwatchWriter:
    def __init__(self, seconds: list[float]) -> None:
        self._seconds = seconds

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        now = time.time()
        self._seconds += [now - record.body["sent"] for record in records]
        return []

    def close(self) -> None:
        pass


def main(lines: Iterable[Line]) -> None:
    """Measure, and print the table."""
    rows = [row for line in lines for row in _measured(line)]
    show("Latency", ["", "messages/s", "p50 ms", "p90 ms", "p99 ms"], rows)
    note(
        "From before the sender's call until the sink's writer has the record; sender and flow are two processes. "
        "A first half of as many messages again is not counted."
    )


def _measured(line: Line) -> list[list[str]]:
    seconds: list[float] = []
    count = line.warm_up + line.messages
    spec = FlowSpec(name="latency", trigger=line.trigger, sinks=[_Stopwatch(seconds=seconds)])
    with TemporaryDirectory() as directory, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        sending = pool.submit(line.sender, line.address, line.target, count, line.per_second)
        run(spec, FlowRun("latency", Path(directory), limit=count, until_idle=20))
        calls = sending.result()
    return [
        _row(f"{line.name}: send to sink", line, seconds),
        _row("the sender's own call, a part of it", line, calls),
    ]


def _row(name: str, line: Line, seconds: Sequence[float]) -> list[str]:
    cuts = quantiles(seconds[line.warm_up :], n=100, method="inclusive")
    return [name, f"{line.per_second:,}", *(f"{cuts[share - 1] * 1000:.1f}" for share in (50, 90, 99))]
