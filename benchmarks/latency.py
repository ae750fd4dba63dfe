"""How long a message takes from its sender to the sink when there is little to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import orjson

from benchmarks.engine import run
from benchmarks.measure import note, show
from flowspec.connectors import Account, Action, WorkerContext
from flowspec.delivery.run import FlowRun
from flowspec.spec import FlowSpec
from sources.amazon_sqs import AwsAccount, ListenQueue

if TYPE_CHECKING:
    from benchmarks.server import BenchmarkServer
    from flowspec.records import Failure, Record

__all__ = ["main"]

_MESSAGES = 200
_PER_SECOND = 20
_WARM_UP = 100
"""Messages that are not counted: Java compiles the server's code meanwhile."""


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


def _send(server: BenchmarkServer, url: str, calls: list[float]) -> None:
    for _ in range(_WARM_UP + _MESSAGES):
        time.sleep(1 / _PER_SECOND)
        sent = time.time()
        server.sqs.client.send_message(QueueUrl=url, MessageBody=orjson.dumps({"sent": sent}).decode())
        calls.append(time.time() - sent)


def _row(name: str, seconds: Sequence[float]) -> list[str]:
    cuts = quantiles(seconds[_WARM_UP:], n=100, method="inclusive")
    return [name, *(f"{cuts[share - 1] * 1000:.1f}" for share in (50, 90, 99))]


def main(server: BenchmarkServer) -> None:
    """Measure, and print the table."""
    url = server.sqs.create_queue()
    seconds: list[float] = []
    calls: list[float] = []
    spec = FlowSpec(
        name="latency",
        trigger=ListenQueue(queue_url=url, account=AwsAccount(**server.sqs.account), wait_time=1),
        sinks=[_Stopwatch(seconds=seconds)],
    )
    sender = threading.Thread(target=_send, args=(server, url, calls))
    with TemporaryDirectory() as directory:
        flow_run = FlowRun(spec.name, Path(directory), limit=_WARM_UP + _MESSAGES, until_idle=5)
        sender.start()
        run(spec, flow_run)
        sender.join()
    show(
        "Latency",
        ["", "p50 ms", "p90 ms", "p99 ms"],
        [_row("send to sink", seconds), _row("the sender's own call, a part of it", calls)],
    )
    note(
        f"{server.name}, {len(seconds) - _WARM_UP} messages at {_PER_SECOND}/s, from before the sender's call "
        "until the sink's writer has the record; sender and flow share one process."
    )
