"""What the journal costs: the same flows with nothing, with failures, and with every record in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.clock import Clock, CountedAction
from benchmarks.engine import run
from benchmarks.measure import Contestant, Result, interleaved, note, show
from benchmarks.memory import MemoryTrigger
from benchmarks.work import orders, steps
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.journal.search import JournalReader
from flowspec.journal.settings import JournalLevel
from flowspec.spec import FlowSpec
from sinks.drop import Drop
from sinks.kafka import Produce
from sources.kafka import ConsumeTopics, KafkaAccount

if TYPE_CHECKING:
    from flowspec.connectors import Action, Trigger
    from tests.servers.kafka import KafkaBroker

__all__ = ["main"]

_RECORDS = 300_000
_WANTED = _RECORDS * 3 // 4
_BATCH = 500
_ROUNDS = 5
_LEVELS: tuple[JournalLevel, ...] = ("off", "failures", "all")
_numbers = itertools.count()


def _flow(trigger: Trigger, sink: Action, journal: JournalLevel, directory: Path) -> Result:
    clock = Clock(_WANTED, _RECORDS)
    fields: dict[str, Any] = {"journal": journal}
    spec = FlowSpec(
        name=f"benchmark-{next(_numbers)}",
        trigger=trigger,
        steps=steps(),
        sinks=[CountedAction(sink=sink, clock=clock)],
        **fields,
    )
    run(spec, FlowRun(spec.name, directory, limit=_RECORDS))
    if journal == "all":
        reader = JournalReader(spec.name, directory)
        if gaps := reader.gaps(None):
            note(f"{spec.name}: {sum(gap.lost for gap in gaps):,} executions are missing: {gaps[0].reason}")
        reader.path.unlink()
    return clock.result()


def _each(trigger: Callable[[], Trigger], sink: Action, directory: Path) -> Mapping[str, Contestant]:
    def contestant(level: JournalLevel) -> Contestant:
        return lambda: _flow(trigger(), sink, level, directory)

    return {f"journal: {level}": contestant(level) for level in _LEVELS}


def main(broker: KafkaBroker) -> None:
    """Measure, and print the tables."""
    payloads = tuple(orders(10_000))
    topic, target = broker.create_topic(), broker.create_topic()
    broker.produce(topic, *orders(_RECORDS))
    account = KafkaAccount(**broker.account)
    external_id = Expression("order_id")
    with TemporaryDirectory() as name:
        _table(
            "Journal: Kafka, consume, filter, map, produce",
            _each(
                lambda: ConsumeTopics(account=account, topics=[topic], batch_size=_BATCH, external_id=external_id),
                Produce(account=account, topic=target),
                Path(name),
            ),
        )
        _table(
            "Journal: records in memory, filter, map, encode, drop",
            _each(
                lambda: MemoryTrigger(payloads=payloads, count=_RECORDS, batch_size=_BATCH, external_id=external_id),
                Drop(format="json"),
                Path(name),
            ),
        )
    note(
        f"{_RECORDS:,} orders of {len(payloads[0])} bytes in batches of {_BATCH}, three of four pass the filter, "
        f"medians of {_ROUNDS} interleaved runs. With `all` each record has its line in the journal, also what is "
        "filtered; CPU is that of the journal's thread as well, which writes beside the flow."
    )


def _table(title: str, contestants: Mapping[str, Contestant]) -> None:
    results = interleaved(contestants, _ROUNDS)
    floor = results["journal: off"]
    show(
        title,
        ["", "records/s", "rate, ratio to off", "CPU us/record"],
        (
            [name, f"{result.rate:,.0f}", f"{result.rate / floor.rate:.2f}", f"{result.cpu:.2f}"]
            for name, result in results.items()
        ),
    )
