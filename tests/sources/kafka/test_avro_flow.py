"""Avro from topic to topic: a real broker and registry, written and read by confluent-kafka's own classes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from flowspec import FlowSpec
from flowspec.delivery.run import FlowRun
from pipelines.running import RunError, run_worker
from sinks.kafka import Produce
from sources.kafka.account import KafkaAccount
from tests.pipelines.flows import PATIENCE, eventually
from tests.servers.kafka import KafkaBroker
from tests.servers.schema_registry import RegistryServer
from tests.servers.tcp_proxy import TcpProxy

PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": "id", "type": "string"}, {"name": "price", "type": PRICE}],
}
BILL = {
    "type": "record",
    "name": "Bill",
    "fields": [{"name": "order", "type": "string"}, {"name": "gross", "type": PRICE}],
}
COUNT = 200


class Run:
    """A flow on a thread of its own, that ends by itself after so many records."""

    def __init__(self, spec: FlowSpec, directory: Path, records: int) -> None:
        self.run = FlowRun(spec.name, directory, limit=records)
        self.error: str | None = None
        self._thread = threading.Thread(target=self._work, args=(spec,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the flow does not end"
        assert self.error is None, self.error

    def reasons(self) -> list[str]:
        """Why its trigger is down."""
        return [str(health.reason) for health in tuple(self.run.healths) if health.state == "down"]

    def _work(self, spec: FlowSpec) -> None:
        try:
            run_worker(spec, self.run, self._give_up)
        except RunError as error:
            self.error = str(error)

    def _give_up(self, reason: str) -> None:
        self.error = self.error or reason


def of_value(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def produce_orders(kafka: KafkaBroker, registry: RegistryServer, topic: str, *others: bytes | None) -> None:
    conf = {"subject.name.strategy.type": "TOPIC"}
    serialize = AvroSerializer(registry.client, json.dumps(ORDER), conf=conf)
    orders = [{"id": f"A-{number}", "price": Decimal(number) / 100} for number in range(COUNT)]
    payloads = [serialize(order, of_value(topic)) for order in orders]
    kafka.produce(topic, *payloads[: COUNT // 2], *others, *payloads[COUNT // 2 :])


def flow(kafka: KafkaBroker, registry_url: str, source: str, sink: Any) -> FlowSpec:
    given: Any = {"schema_registry": {"url": registry_url}, **kafka.account}
    trigger: Any = {
        "connector": "kafka",
        "event": "consume-topics",
        "account": given,
        "topics": [source],
        "group": f"of-{source}",
        "format": "avro",
    }
    steps: Any = [{"filter": "body is not None"}, {"map": {"order": "id", "gross": "price * 2"}}]
    return FlowSpec(name="bills", trigger=trigger, steps=steps, sinks=[sink])


@contextmanager
def proxied(registry: RegistryServer) -> Iterator[tuple[TcpProxy, str]]:
    """The registry behind a proxy, and its address there."""
    with TcpProxy("127.0.0.1", registry.port) as proxy:
        yield proxy, registry.url_at(proxy.port)


def test_avro_goes_from_topic_to_topic(kafka: KafkaBroker, schema_registry: RegistryServer, tmp_path: Path) -> None:
    orders, bills = kafka.create_topic(), kafka.create_topic()
    # Neither a tombstone nor what is no Avro is in the way of the others.
    produce_orders(kafka, schema_registry, orders, b'{"id": "A-1"}', None, b"\x00\x00\x7f\xff\xffabc")
    schema_registry.register(f"{bills}-value", BILL)
    account: Any = {"schema_registry": schema_registry.account, **kafka.account}
    sink = Produce(account=KafkaAccount(**account), topic=bills, format="avro")

    running = Run(flow(kafka, schema_registry.url, orders, sink), tmp_path, COUNT + 3)
    running.end()

    deserialize = AvroDeserializer(schema_registry.client)
    read = [deserialize(message.value(), of_value(bills)) for message in kafka.consume(bills, COUNT)]
    assert read == [{"order": f"A-{number}", "gross": Decimal(number) / 50} for number in range(COUNT)]
    letters = running.run.store.envelopes()
    assert [letter["step"] for letter in letters] == ["decode", "decode"]
    assert [letter["error"]["message"].split(", ")[0] for letter in letters] == [
        "payload is not avro: its magic byte is 0x7b",
        f"payload is not avro: schema id 8388607 is not in the registry {schema_registry.url}",
    ]
    assert running.run.tally.filtered == 1
    assert kafka.lag(f"of-{orders}", orders) == 0


def test_a_registry_that_is_down_holds_the_flow(
    kafka: KafkaBroker, schema_registry: RegistryServer, tmp_path: Path
) -> None:
    orders, bills = kafka.create_topic(), kafka.create_topic()
    produce_orders(kafka, schema_registry, orders)
    with proxied(schema_registry) as (proxy, url):
        proxy.down()
        sink = Produce(account=KafkaAccount(**kafka.account), topic=bills)
        running = Run(flow(kafka, url, orders, sink), tmp_path, COUNT)
        eventually(lambda: len(running.reasons()) > 0, "the outage is seen")
        assert running.reasons()[0].startswith(f"the schema registry {url} cannot be reached: ")
        assert kafka.end_offsets(bills) == {0: 0}
        assert kafka.committed(f"of-{orders}", orders) == {}
        proxy.up()
        running.end()

    read = [json.loads(message.value() or b"") for message in kafka.consume(bills, COUNT)]
    assert [each["order"] for each in read] == [f"A-{number}" for number in range(COUNT)]
    assert read[-1]["gross"] == "3.98"
    assert running.run.store.envelopes() == []
    assert running.reasons() == []
