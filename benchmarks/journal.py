"""What the journal costs: the same flows with nothing, with failures, and with every record in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks import rabbitmq, sqs
from benchmarks.clock import Clock, CountedAction
from benchmarks.engine import run
from benchmarks.measure import Result, interleaved, note, show
from benchmarks.memory import MemoryTrigger
from benchmarks.work import orders, steps
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.journal.search import JournalReader
from flowspec.journal.settings import JournalLevel
from flowspec.spec import FlowSpec
from sinks.drop import Drop
from sinks.kafka import Produce
from sinks.rabbitmq import Publish
from sources.amazon_sqs import AwsAccount, ListenQueue
from sources.kafka import ConsumeTopics, KafkaAccount
from sources.rabbitmq import ConsumeQueue, RabbitAccount

if TYPE_CHECKING:
    from benchmarks.servers import Systems
    from flowspec.connectors import Action, Trigger

__all__ = ["main"]

_BATCH = 500
_ROUNDS = 5
_LEVELS: tuple[JournalLevel, ...] = ("off", "failures", "all")
_SETTINGS: dict[str, Any] = {"batch_size": _BATCH, "external_id": Expression("order_id")}
_numbers = itertools.count()


@dataclass(frozen=True)
class _Course:
    """Where records are from, and where they go."""

    title: str
    records: int
    trigger: Callable[[], Trigger]
    """Makes one that has all the records; that is not timed."""
    sink: Action

    def run(self, level: JournalLevel, directory: Path) -> Result:
        """Have a flow with that journal do it."""
        clock = Clock(self.records * 3 // 4, self.records)
        spec = FlowSpec(
            name=f"benchmark-{next(_numbers)}",
            trigger=self.trigger(),
            steps=steps(),
            sinks=[CountedAction(sink=self.sink, clock=clock)],
            journal=level,
        )
        run(spec, FlowRun(spec.name, directory, limit=self.records))
        if level == "all":
            reader = JournalReader(spec.name, directory)
            for gap in reader.gaps(None):
                note(f"{spec.name}: {gap.lost:,} executions are missing: {gap.reason}")
            reader.path.unlink()
        return clock.result()


def _courses(systems: Systems) -> Iterator[_Course]:
    payloads = orders(300_000)
    some = tuple(payloads[:10_000])
    yield _Course(
        "records in memory, filter, map, encode, drop",
        len(payloads),
        lambda: MemoryTrigger(payloads=some, count=len(payloads), **_SETTINGS),
        Drop(format="json"),
    )
    broker = systems.kafka
    topic = broker.create_topic()
    broker.produce(topic, *payloads)
    kafka = KafkaAccount(**broker.account)
    yield _Course(
        "Kafka, consume, filter, map, produce",
        len(payloads),
        lambda: ConsumeTopics(account=kafka, topics=[topic], **_SETTINGS),
        Produce(account=kafka, topic=broker.create_topic()),
    )
    node = systems.rabbitmq
    rabbit = RabbitAccount(**node.account)
    messages = payloads[:20_000]
    yield _Course(
        "RabbitMQ, consume, filter, map, publish",
        len(messages),
        lambda: ConsumeQueue(
            account=rabbit, queue=rabbitmq.filled(node, messages, quorum=False), prefetch=2 * _BATCH, **_SETTINGS
        ),
        Publish(account=rabbit, routing_key=node.create_queue(arguments={"x-max-length": 10_000})),
    )
    server = systems.sqs
    aws = AwsAccount(**server.sqs.account)
    yield _Course(
        f"Amazon SQS ({server.name}), listen, filter, map, drop",
        sqs.MESSAGES,
        lambda: ListenQueue(account=aws, queue_url=sqs.filled(server), wait_time=1, **_SETTINGS),
        Drop(format="json"),
    )


def main(systems: Systems) -> None:
    """Measure, and print the tables."""
    with TemporaryDirectory() as name:
        for course in _courses(systems):
            results = interleaved(
                {f"journal: {level}": partial(course.run, level, Path(name)) for level in _LEVELS}, _ROUNDS
            )
            _show(course, results)
    note(
        f"Orders of {len(orders(1)[0])} bytes in batches of {_BATCH} at most, three of four pass the filter, medians "
        f"of {_ROUNDS} interleaved runs. With `all` each record is in the journal, also what is filtered; CPU is that "
        "of the journal's thread as well, which writes beside the flow."
    )


def _show(course: _Course, results: dict[str, Result]) -> None:
    floor = results["journal: off"]
    show(
        f"Journal: {course.title}, {course.records:,} records",
        ["", "records/s", "rate, ratio to off", "CPU us/record"],
        (
            [name, f"{result.rate:,.0f}", f"{result.rate / floor.rate:.2f}", f"{result.cpu:.2f}"]
            for name, result in results.items()
        ),
    )
