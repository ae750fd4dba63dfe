"""The sink by itself, against a real broker."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError
from pydantic import ValidationError

from flowspec.connectors import WorkerContext, Writer
from flowspec.delivery.health import Health
from flowspec.errors import FatalError, MissingDependencyError, RecordError, TransientError
from flowspec.records import Failure, Record
from flowspec.spec import FlowSpec
from sinks.kafka import Produce, outbox
from tests.pipelines.flows import eventually
from tests.servers.kafka import KafkaBroker
from tests.servers.kafka_mock import KafkaMock
from tests.sinks.ends import records

NOWHERE = {"bootstrap_servers": "127.0.0.1:1"}


class Sink:
    """A writer with what it was told about its worker."""

    def __init__(self, writer: Writer, context: WorkerContext) -> None:
        self.health = context.health
        self.stopping = context.stopping
        self._writer = writer

    def write(self, batch: Sequence[Record]) -> list[Failure]:
        return list(self._writer.write(batch))

    def deliver(self, batch: Sequence[Record]) -> None:
        """Write until everything is confirmed, as a flow does."""
        while batch:
            failures = self.write(batch)
            assert all(isinstance(failure.error, TransientError) for failure in failures), failures
            batch = [failure.record for failure in failures]


@contextmanager
def sink(account: dict[str, Any], topic: str, **fields: Any) -> Iterator[Sink]:
    context = WorkerContext("test", 0, 1, threading.Event(), Health("sink"))
    writer = Produce.model_validate({"account": account, "topic": topic, **fields}).open(context)
    try:
        yield Sink(writer, context)
    finally:
        writer.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write gives up soon."""
    monkeypatch.setattr(outbox, "_PATIENCE", 1.0)
    monkeypatch.setattr(outbox, "_SLOW", 0.5)


def numbers(kafka: KafkaBroker, topic: str) -> list[int]:
    return [json.loads(message.value() or b"null")["id"] for message in kafka.consume(topic)]


def test_every_record_is_a_message(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(3)
    fields = {"key": "name", "partition": "id % 3", "headers": {"kind": "order {id}", "source": "shop", "none": ""}}
    with sink(kafka.account, topic, **fields) as to:
        assert to.write(records(*({"id": number, "name": f"Jörg {number}"} for number in range(37)))) == []

    messages = kafka.consume(topic)
    assert sorted(json.loads(message.value() or b"")["id"] for message in messages) == list(range(37))
    for message in messages:
        body = json.loads(message.value() or b"")
        assert message.key() == f"Jörg {body['id']}".encode()
        assert message.partition() == body["id"] % 3
        assert message.headers() == [("kind", f"order {body['id']}".encode()), ("source", b"shop"), ("none", b"")]


@pytest.mark.parametrize(
    ("key", "written"),
    [("text", b"text"), (b"\xff\x00", b"\xff\x00"), (17, b"17"), (1.5, b"1.5"), ("", b""), (None, None)],
)
def test_a_key_is_what_its_expression_says(kafka: KafkaBroker, key: Any, written: bytes | None) -> None:
    topic = kafka.create_topic()
    with sink(kafka.account, topic, key="key") as to:
        assert to.write([Record("raw", {"id": 1}, key=key)]) == []

    (message,) = kafka.consume(topic)
    assert message.key() == written


def test_a_record_has_no_key_unless_it_is_given_one(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic()
    with sink(kafka.account, topic) as to:
        to.write([Record("raw", {"id": 1}, key="received", headers={"received": "too"})])

    (message,) = kafka.consume(topic)
    assert message.key() is None
    assert message.headers() is None


@pytest.mark.parametrize("form", ["json", "text", "bytes"])
def test_a_body_that_is_null_is_a_tombstone(kafka: KafkaBroker, form: str) -> None:
    topic = kafka.create_topic(cleanup_policy="compact")
    with sink(kafka.account, topic, key="key", format=form) as to:
        to.write([Record("raw", body, key="k") for body in ("there", None)])

    assert [message.value() is None for message in kafka.consume(topic)] == [False, True]


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read_back(kafka: KafkaBroker, compression: str) -> None:
    topic = kafka.create_topic()
    with sink(kafka.account, topic, compression=compression, format="text") as to:
        assert to.write(records(*("x" * 1000 for _ in range(100)))) == []

    assert [message.value() for message in kafka.consume(topic)] == [b"x" * 1000] * 100


def test_each_key_keeps_its_order(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(5)
    with sink(kafka.account, topic, key="body.key") as to:
        for first in range(0, 3000, 300):
            batch = records(*({"id": number, "key": f"k{number % 7}"} for number in range(first, first + 300)))
            assert to.write(batch) == []

    by_key = defaultdict(list)
    for message in kafka.consume(topic):
        by_key[message.key()].append(json.loads(message.value() or b"")["id"])
    assert by_key == {f"k{key}".encode(): list(range(key, 3000, 7)) for key in range(7)}


@pytest.mark.parametrize(
    ("field", "expression", "wrong", "message"),
    [
        ("key", "value", [1], "key must be a text, bytes, a number or null, not list"),
        ("key", "value", True, "key must be a text, bytes, a number or null, not bool"),
        ("key", "key", "\ud800", "key cannot be encoded"),
        ("key", "missing", "x", "missing field 'missing'"),
        ("partition", "value", "1", "partition must be a whole number from 0"),
        ("partition", "value", -1, "partition must be a whole number from 0"),
        ("partition", "value", 2**31, "partition must be a whole number from 0"),
        ("partition", "value", 9, "no such partition"),
        ("topic", "{value}", "two words", "topic must be 1 to 249 letters"),
        ("topic", "{value}", "..", "topic must be 1 to 249 letters"),
        ("topic", "{value}", "not-there", "the topic does not exist"),
        ("headers", {"h": "{key}"}, "\ud800", "header 'h' cannot be encoded"),
        ("format", "text", 5, "needs a text as body"),
        ("format", "text", "x" * 2_000_000, "larger than the topic's max.message.bytes"),
    ],
)
def test_what_no_message_can_be_is_named_and_its_neighbours_are_written(
    kafka: KafkaBroker, field: str, expression: Any, wrong: Any, message: str
) -> None:
    topic = kafka.create_topic()
    good: Any = {"topic": topic, "partition": 0}.get(field, "good")
    # What the body cannot be either comes as the received key.
    batch = [
        Record("raw", "body" if value == "\ud800" else value if field == "format" else {"value": value}, key=value)
        for value in (good, wrong, good)
    ]
    if expression == "missing":
        for record in (batch[0], batch[2]):
            record.body["missing"] = "there"
    with sink(kafka.account, **{"topic": topic, field: expression}) as to:
        (failure,) = to.write(batch)

    assert failure.record is batch[1]
    assert isinstance(failure.error, RecordError)
    assert message in str(failure.error)
    assert len(kafka.consume(topic)) == 2


def test_what_the_broker_finds_too_large_is_named_and_its_neighbours_are_written(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(max_message_bytes="100000")
    batch = records("a", "x" * 200_000, "b", "y" * 200_000, "c")
    with sink(kafka.account, topic, format="text") as to:
        failures = to.write(batch)

    assert [failure.record for failure in failures] == [batch[1], batch[3]]
    assert all(isinstance(failure.error, RecordError) for failure in failures)
    assert [message.value() for message in kafka.consume(topic)] == [b"a", b"b", b"c"]


def test_a_topic_for_tiny_messages_gets_them_one_by_one(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(max_message_bytes="20000")
    batch = records(*({"id": number, "text": "x" * 100} for number in range(300)))
    with sink(kafka.account, topic) as to:
        assert to.write(batch) == []

    assert numbers(kafka, topic) == list(range(300))


def test_a_compacted_topic_takes_nothing_without_a_key_and_keeps_its_order(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(cleanup_policy="compact")
    # More than a call has, so that later calls succeed when the first one fails.
    batch = records(*({"id": number, "key": f"k{number}", "text": "x" * 1000} for number in range(300)))
    batch[10].body["key"] = None
    with sink(kafka.account, topic, key="body.key") as to:
        (failure,) = to.write(batch)

    assert failure.record is batch[10]
    assert "a compacted topic takes no message without a key" in str(failure.error)
    last = {number: place for place, number in enumerate(numbers(kafka, topic))}
    assert sorted(last, key=last.__getitem__) == [number for number in range(300) if number != 10]


def test_the_topic_of_all_records_must_exist(kafka: KafkaBroker) -> None:
    with (
        sink(kafka.account, "not-there") as to,
        pytest.raises(FatalError, match=r"topic 'not-there': .*the topic does not exist; create it"),
    ):
        to.write(records(1))


def test_a_batch_for_which_the_producer_has_no_room_is_written_bit_by_bit(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic()
    account = {**kafka.account, "properties": {"queue.buffering.max.messages": 10}}
    with sink(account, topic) as to:
        to.deliver(records(*({"id": number} for number in range(35))))

    assert numbers(kafka, topic) == list(range(35))


def test_a_broker_that_is_killed_and_started_again_has_each_record_once(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.create_topic(3)
    confirmed = []
    done = threading.Event()
    with sink(own_kafka.account, topic, key="id") as to:

        def write() -> None:
            for first in range(0, 100_000, 500):
                to.deliver(records(*({"id": number} for number in range(first, first + 500))))
                confirmed.append(first)
                if done.is_set():
                    break

        writing = threading.Thread(target=write, daemon=True)
        writing.start()
        for _ in range(2):
            goal = len(confirmed) + 5
            eventually(lambda goal=goal: len(confirmed) >= goal, "batches are confirmed")  # type: ignore[misc]
            own_kafka.kill()
            time.sleep(0.5)
            own_kafka.start()
        goal = len(confirmed) + 5
        eventually(lambda: len(confirmed) >= goal, "it goes on")
        done.set()
        writing.join(60)

    found = numbers(own_kafka, topic)
    assert len(found) == len(set(found)), "a broker's restart costs no duplicate"
    assert set(found) == {number for first in confirmed for number in range(first, first + 500)}


def test_connections_that_are_cut_cost_neither_order_nor_duplicates(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.create_topic()
    with sink(own_kafka.proxied_account, topic) as to:
        for number, first in enumerate(range(0, 20_000, 500)):
            if number % 5 == 4:
                # In the middle of what follows.
                threading.Timer(0.001 * number / 4, own_kafka.proxy.cut).start()
            to.deliver(records(*({"id": number} for number in range(first, first + 500))))

    assert numbers(own_kafka, topic) == list(range(20_000))


@pytest.mark.usefixtures("impatient")
def test_what_is_not_confirmed_in_time_is_awaited_and_not_produced_again(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.create_topic()
    batch = records(*({"id": number} for number in range(10)))
    with sink(own_kafka.proxied_account, topic) as to:
        to.deliver(batch[:2])
        own_kafka.proxy.stall()
        for _ in range(2):
            failures = to.write(batch[2:8])
            assert [failure.record for failure in failures] == batch[2:8], "in order"
            assert all(isinstance(failure.error, TransientError) for failure in failures)
        assert to.health.state == "down"
        own_kafka.proxy.resume()
        to.deliver([*batch[2:8], *batch[8:]])

    assert numbers(own_kafka, topic) == list(range(10))


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_is_not_there_yet_is_awaited(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.create_topic()
    own_kafka.proxy.down()
    batch = records({"id": 1})
    with sink(own_kafka.proxied_account, topic) as to:
        (failure,) = to.write(batch)
        assert "Connection refused" in str(failure.error), "the reason is said"
        own_kafka.proxy.up()
        to.deliver(batch)

    assert numbers(own_kafka, topic) == [1]


def test_a_write_does_not_hold_up_a_stop() -> None:
    with sink(NOWHERE, "orders") as to:
        to.stopping.set()
        started = time.monotonic()
        (failure,) = to.write(records(1))
        assert isinstance(failure.error, TransientError)
        assert time.monotonic() - started < 20, "the patience without a stop is longer"


def test_a_producer_that_cannot_go_on_is_replaced(kafka_mock: KafkaMock) -> None:
    topic = kafka_mock.create_topic()
    with sink(kafka_mock.account, topic) as to:
        to.deliver(records({"id": 0}))
        # The broker says that it has never seen what it has confirmed: librdkafka gives up.
        kafka_mock.fail("Produce", KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
        batch = records({"id": 1}, {"id": 2})
        with pytest.raises(TransientError, match="the producer is replaced"):
            to.write(batch)
        to.deliver(batch)


def test_without_confluent_kafka_the_way_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'trigger-flows\[kafka\]'"), sink(NOWHERE, "orders"):
        pass


def test_what_the_account_cannot_be_is_said_before_anything_is_written() -> None:
    with (
        pytest.raises(FatalError, match="No such configuration property"),
        sink({**NOWHERE, "properties": {"no.such": 1}}, "orders"),
    ):
        pass


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"topic": "two words"}, "'two words' is no name of a topic"),
        ({"topic": ""}, "'' is no name of a topic"),
        ({"key": "{customer.id}"}, "key is an expression, not a template: write 'customer.id'"),
        ({"headers": {"": "x"}}, "pattern"),
        ({"headers": {"a\0b": "x"}}, "pattern"),
        ({"compression": "rar"}, "'none', 'gzip', 'snappy', 'lz4' or 'zstd'"),
    ],
)
def test_fields_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Produce.model_validate({"account": NOWHERE, "topic": "orders", **fields})


QUEUE = {"connector": "amazon-sqs", "queue_url": "http://127.0.0.1:1/1/orders"}
TOPICS = {"connector": "kafka", "account": NOWHERE, "topics": ["orders"]}
ONCE = {"connector": "kafka", "account": NOWHERE, "topic": "billing", "exactly_once": True}
ELSEWHERE = {"bootstrap_servers": ["127.0.0.1:2", "127.0.0.1:3"]}


@pytest.mark.parametrize(
    ("trigger", "sinks", "remedy"),
    [
        (QUEUE, [ONCE], "kafka / consume-topics"),
        (TOPICS, [ONCE, {"connector": "stdout"}], "make a flow of its own for each sink"),
        ({**TOPICS, "assignment": "pinned"}, [ONCE], "set its assignment to 'group'"),
        ({**TOPICS, "isolation": "read_uncommitted"}, [ONCE], "set its isolation to 'read_committed'"),
        ({**TOPICS, "account": ELSEWHERE}, [ONCE], "give trigger and sink the same account"),
    ],
)
def test_exactly_once_is_refused_where_it_cannot_be(
    trigger: dict[str, Any], sinks: list[dict[str, Any]], remedy: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        FlowSpec.model_validate({"name": "orders", "trigger": trigger, "sinks": sinks})

    (error,) = refused.value.errors()
    assert error["loc"] == ("sinks", 0, "exactly_once")
    assert remedy in error["msg"]


@pytest.mark.parametrize(
    ("trigger", "sinks"),
    [
        (TOPICS, [ONCE]),
        ({**TOPICS, "account": {"bootstrap_servers": "127.0.0.1:3,127.0.0.1:1"}}, [ONCE]),
        ({**TOPICS, "account": "a name"}, [ONCE]),
        (QUEUE, [{**ONCE, "exactly_once": False}, {"connector": "stdout"}]),
    ],
)
def test_exactly_once_is_taken_where_it_can_be(trigger: dict[str, Any], sinks: list[dict[str, Any]]) -> None:
    FlowSpec.model_validate({"name": "orders", "trigger": trigger, "sinks": sinks})
