"""The Kafka flow beside a bare confluent-kafka loop and stock Bytewax, on the same broker."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import bytewax.operators as op
import orjson
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer

from benchmarks.clock import Clock, CountedAction
from benchmarks.engine import run
from benchmarks.measure import Contestant, Result, interleaved, note, show
from benchmarks.work import invoice, is_wanted, orders, steps
from flowspec.connectors import Action
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.spec import FlowSpec
from sinks.drop import Drop
from sinks.kafka import Produce
from sources.kafka import ConsumeTopics, KafkaAccount
from tests.servers.kafka import KafkaBroker

__all__ = ["main"]

_MESSAGES = 300_000
_WANTED = _MESSAGES * 3 // 4
_BATCH = 500
_ROUNDS = 5
_groups = (f"benchmark-{number}" for number in itertools.count())

Handle: TypeAlias = Callable[[list[Any]], int]
"""Does the work on the messages of one `consume`; answers how many records were done."""


def _bare(broker: KafkaBroker, topic: str, total: int, handle: Handle) -> Result:
    """A careful loop: what a batch brought is done before its offsets are committed."""
    clock = Clock(total, _MESSAGES)
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": next(_groups),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            # As the flow has it: by default a full queue has the next fetch wait for a second.
            "fetch.queue.backoff.ms": 20,
        }
    )
    consumer.subscribe([topic])
    while not clock.finished:
        if messages := consumer.consume(_BATCH, 0.1):
            clock.count(handle(messages))
            consumer.commit(asynchronous=True)
    consumer.close()
    return clock.result()


def _read(messages: list[Any]) -> int:
    for message in messages:
        message.value()
    return len(messages)


def _encode(messages: list[Any]) -> list[bytes]:
    encoded = []
    for message in messages:
        order = orjson.loads(message.value())
        if order["status"] == "paid" and order["total"] > 100:
            encoded.append(
                orjson.dumps(
                    {
                        "id": order["order_id"],
                        "cents": int(order["total"] * 100),
                        "customer": order["customer"]["email"].lower(),
                    }
                )
            )
    return encoded


def _encode_the_same(messages: list[Any]) -> list[bytes]:
    """As `_encode`, with what a record of the flow carries: metadata, key, headers and the External ID."""
    encoded = []
    for message in messages:
        payload = message.value()
        kind, milliseconds = message.timestamp()
        record = {
            "raw": payload,
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp": milliseconds if kind else None,
            "key": message.key(),
            "headers": message.headers() or {},
        }
        try:
            order = orjson.loads(payload)
            record["external_id"] = order["order_id"]
            if order["status"] == "paid" and order["total"] > 100:
                record["body"] = {
                    "id": order["order_id"],
                    "cents": int(order["total"] * 100),
                    "customer": order["customer"]["email"].lower(),
                }
                encoded.append(orjson.dumps(record["body"]))
        except (LookupError, TypeError, ValueError):
            continue
    return encoded


def _forwarding(broker: KafkaBroker, target: str) -> Handle:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True})

    def forward(messages: list[Any]) -> int:
        payloads = _encode(messages)
        for payload in payloads:
            producer.produce(target, payload)
        producer.flush()
        return len(payloads)

    return forward


def _flow(broker: KafkaBroker, topic: str, total: int, sink: Action, directory: Path, **fields: Any) -> Result:
    clock = Clock(total, _MESSAGES)
    spec = FlowSpec(
        name=next(_groups),
        trigger=ConsumeTopics(account=KafkaAccount(**broker.account), topics=[topic], batch_size=_BATCH, **fields),
        steps=steps() if total == _WANTED else [],
        sinks=[CountedAction(sink=sink, clock=clock)],
    )
    run(spec, FlowRun(spec.name, directory, limit=_MESSAGES))
    return clock.result()


class _Counting(DynamicSink[Any]):
    """Counts what it is given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _CountingPartition:
        return _CountingPartition(self._clock)


class _CountingPartition(StatelessSinkPartition[Any]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def write_batch(self, items: list[Any]) -> None:
        self._clock.count(len(items))


class _CountingKafkaSink(KafkaSink):
    """The stock sink; it says that a record is done when librdkafka has it in memory."""

    def __init__(self, broker: KafkaBroker, target: str, clock: Clock) -> None:
        super().__init__([broker.bootstrap_servers], target)
        self._clock = clock

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Any:
        stock = super().build(step_id, worker_index, worker_count)
        counting = _CountingPartition(self._clock)

        class Both(StatelessSinkPartition[Any]):
            def write_batch(self, items: list[Any]) -> None:
                stock.write_batch(items)
                counting.write_batch(items)

        return Both()


def _stock(
    broker: KafkaBroker, topic: str, total: int, sink: Callable[[Clock], DynamicSink[Any]], encode: Callable[[Any], Any]
) -> Result:
    clock = Clock(total, _MESSAGES)
    flow = Dataflow("stock")
    source = KafkaSource(
        [broker.bootstrap_servers], [topic], tail=False, starting_offset=OFFSET_BEGINNING, batch_size=_BATCH
    )
    records: Any = op.input("trigger", flow, source)
    if total == _WANTED:
        order = op.map("decode", records, lambda message: orjson.loads(message.value))
        paid = op.filter("filter", order, is_wanted)
        invoices = op.map("map", paid, invoice)
        records = op.map("encode", invoices, encode)
    op.output("sink", records, sink(clock))
    cli_main(flow)
    return clock.result()


def _sink_message(body: Any) -> KafkaSinkMessage[None, bytes]:
    return KafkaSinkMessage(None, orjson.dumps(body))


def main(broker: KafkaBroker) -> None:
    """Measure, and print the tables."""
    topic, target = broker.create_topic(), broker.create_topic()
    broker.produce(topic, *orders(_MESSAGES))
    account = KafkaAccount(**broker.account)
    with TemporaryDirectory() as name:
        directory = Path(name)
        external_id = {"external_id": Expression("order_id")}
        _table(
            "Kafka: consume, drop",
            {
                "bare confluent-kafka loop": lambda: _bare(broker, topic, _MESSAGES, _read),
                "flow": lambda: _flow(broker, topic, _MESSAGES, Drop(), directory, format="bytes"),
                "stock Bytewax": lambda: _stock(broker, topic, _MESSAGES, _Counting, orjson.dumps),
            },
        )
        _table(
            "Kafka: consume, filter, map, drop",
            {
                "bare confluent-kafka loop": lambda: _bare(
                    broker, topic, _WANTED, lambda messages: len(_encode(messages))
                ),
                "bare loop, the same work": lambda: _bare(
                    broker, topic, _WANTED, lambda messages: len(_encode_the_same(messages))
                ),
                "flow": lambda: _flow(broker, topic, _WANTED, Drop(format="json"), directory, **external_id),
                "stock Bytewax": lambda: _stock(broker, topic, _WANTED, _Counting, orjson.dumps),
            },
        )
        _table(
            "Kafka: consume, filter, map, produce",
            {
                "bare confluent-kafka loop": lambda: _bare(broker, topic, _WANTED, _forwarding(broker, target)),
                "flow": lambda: _flow(
                    broker, topic, _WANTED, Produce(account=account, topic=target), directory, **external_id
                ),
                "stock Bytewax, unconfirmed": lambda: _stock(
                    broker, topic, _WANTED, lambda clock: _CountingKafkaSink(broker, target, clock), _sink_message
                ),
            },
        )
    note(
        f"Apache Kafka on the same machine, {_MESSAGES:,} orders of {len(orders(1)[0])} bytes in one partition, three "
        f"of four pass the filter, batches of {_BATCH}, medians of {_ROUNDS} interleaved runs. The flow has metadata, "
        "External ID and error handling on; so has the loop that does the same work. Bare loops fetch as the flow does "
        "and flush each batch before they commit; stock Bytewax neither commits to a group nor waits for reports."
    )


def _table(title: str, contestants: Mapping[str, Contestant]) -> None:
    results = interleaved(contestants, _ROUNDS)
    floor = results["bare confluent-kafka loop"]
    show(
        title,
        ["", "records/s", "rate, ratio to bare", "CPU us/record"],
        (
            [name, f"{result.rate:,.0f}", f"{result.rate / floor.rate:.2f}", f"{result.cpu:.2f}"]
            for name, result in results.items()
        ),
    )
