"""The sink with `exactly_once` by itself, against a real broker: what is seen when, and what is done once more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from flowspec.connectors import Reader, WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Failure, Record
from sinks.kafka import Produce
from sinks.kafka.exactly_once import ExactlyOnceProducer
from tests.pipelines.flows import eventually
from tests.servers.kafka import KafkaBroker
from tests.sinks.ends import records


class Group:
    """A member of a group that owns all records but those that it is told to have lost."""

    def __init__(self, kafka: KafkaBroker, source: str) -> None:
        self.name = f"group-of-{source}"
        self.lost: set[int] = set()
        self.transaction: ExactlyOnceProducer | None = None
        self.memberships: list[Any] = []
        """What is answered first."""
        self._source = source
        self.consumer = Consumer(
            {"bootstrap.servers": kafka.bootstrap_servers, "group.id": self.name, "enable.auto.commit": False}
        )
        self.consumer.subscribe([source])
        eventually(lambda: bool(self.consumer.poll(0.1) or self.consumer.assignment()), "the group has a member")

    def enlist(self, transaction: ExactlyOnceProducer) -> None:
        self.transaction = transaction

    def owns(self, record: Record) -> bool:
        return record.body["id"] not in self.lost

    def commit(self, offset: int | None) -> None:
        def consumed() -> tuple[list[TopicPartition], Any]:
            group = self.memberships.pop(0) if self.memberships else self.consumer.consumer_group_metadata()
            return ([] if offset is None else [TopicPartition(self._source, 0, offset)]), group

        assert self.transaction is not None
        self.transaction.commit(consumed)


class Ends:
    """A sink, the group whose offsets it commits, and the two topics."""

    def __init__(self, kafka: KafkaBroker, sink: Produce, source: str, target: str) -> None:
        self.group = Group(kafka, source)
        self.source, self.target = source, target
        self.health = Health("sink")
        readers: list[Reader] = [self.group]  # type: ignore[list-item]
        self.writer = sink.open(WorkerContext(source, 0, 1, threading.Event(), self.health, readers))
        self._kafka = kafka

    def write(self, *bodies: Any) -> list[Failure]:
        return list(self.writer.write(records(*bodies)))

    def seen(self) -> list[int]:
        messages = self._kafka.consume(self.target, read_committed=True)
        return [json.loads(message.value() or b"")["id"] for message in messages]

    def committed(self) -> int | None:
        return self._kafka.committed(self.group.name, self.source).get(0)


@contextmanager
def ends(kafka: KafkaBroker, account: dict[str, Any] | None = None, **fields: Any) -> Iterator[Ends]:
    source, target = kafka.create_topic(), fields.pop("target", None) or kafka.create_topic()
    sink = Produce.model_validate(
        {"account": account or kafka.account, "topic": target, "exactly_once": True, **fields}
    )
    both = Ends(kafka, sink, source, target)
    try:
        yield both
    finally:
        both.writer.close()
        both.group.consumer.close()


def test_messages_and_offsets_are_committed_together(kafka: KafkaBroker) -> None:
    with ends(kafka) as to:
        assert to.write({"id": 0}, {"id": 1}) == []
        assert to.write({"id": 2}) == []
        assert to.seen() == []
        assert to.committed() is None

        to.group.commit(3)
        assert to.seen() == [0, 1, 2]
        assert to.committed() == 3

        to.write({"id": 3})
        to.group.commit(4)
        assert to.seen() == [0, 1, 2, 3]
        assert to.committed() == 4


def test_offsets_are_committed_when_nothing_was_written(kafka: KafkaBroker) -> None:
    with ends(kafka) as to:
        to.write({"id": 0})
        to.group.commit(1)
        to.group.commit(7)
        assert to.committed() == 7
        to.group.commit(None)
        assert to.seen() == [0]


def test_what_is_not_committed_is_aborted_at_the_end(kafka: KafkaBroker) -> None:
    with ends(kafka) as to:
        to.write({"id": 0})

    kafka.produce(to.target, b'{"id": 1}')
    assert to.seen() == [1], "nobody has to wait for the transaction's end"


def test_records_whose_partition_is_lost_are_left_to_its_new_owner(kafka: KafkaBroker) -> None:
    with ends(kafka) as to:
        to.write({"id": 0}, {"id": 1}, {"id": 2})
        to.group.lost = {1}
        to.group.commit(3)
        assert to.seen() == [0, 2]


def test_a_membership_that_is_not_the_groups_any_more_commits_nothing(kafka: KafkaBroker) -> None:
    with ends(kafka) as to:
        to.write({"id": 0})
        old = to.group.consumer.consumer_group_metadata()
        to.group.consumer.unsubscribe()
        to.group.consumer.subscribe([to.source])
        eventually(lambda: bool(to.group.consumer.poll(0.1) or to.group.consumer.assignment()), "it is back")
        to.group.memberships = [old, old]
        to.group.commit(1)

        assert to.group.memberships == []
        assert to.seen() == [0]
        assert to.committed() == 1
    assert to.health.state != "down", "that is no trouble"


@pytest.mark.parametrize(
    ("fields", "wrong", "message"),
    [
        ({"partition": "partition"}, {"partition": 9}, "no such partition"),
        ({"topic": "{topic}"}, {"topic": "not-there"}, "does not exist"),
        ({}, {"text": "x" * 200_000}, "larger than the topic's max.message.bytes"),
        ({"key": "k"}, {"k": None}, "a compacted topic takes no message without a key"),
    ],
    ids=["partition", "topic", "size", "key"],
)
def test_a_record_that_cannot_be_written_leaves_the_others(
    kafka: KafkaBroker, fields: dict[str, Any], wrong: dict[str, Any], message: str
) -> None:
    target = kafka.create_topic(max_message_bytes="100000", cleanup_policy="compact" if "key" in fields else "delete")
    good: dict[str, Any] = {"partition": 0, "topic": target, "k": "key"}
    with ends(kafka, target=target, **fields) as to:
        to.write({"id": 0, **good})
        failures = to.write(*({"id": number, **good, **(wrong if number in (2, 4) else {})} for number in range(1, 6)))
        to.group.commit(6)

        assert [failure.record.body["id"] for failure in failures] == [2, 4]
        assert all(isinstance(failure.error, RecordError) and message in str(failure.error) for failure in failures)
        assert to.seen() == [0, 1, 3, 5]


@pytest.mark.parametrize("goes_on", [False, True], ids=["commits", "writes"])
def test_a_transaction_that_took_too_long_is_done_once_more(kafka: KafkaBroker, goes_on: bool) -> None:
    with ends(kafka, transaction_timeout=1) as to:
        to.write({"id": 0})
        written = kafka.end_offsets(to.target)[0]
        eventually(lambda: kafka.end_offsets(to.target)[0] > written, "the broker aborts it")
        if goes_on:
            batch = records({"id": 1})
            with pytest.raises(TransientError, match="the producer is replaced"):
                to.writer.write(batch)
            assert list(to.writer.write(batch)) == []
        to.group.commit(2)

        assert to.seen() == ([0, 1] if goes_on else [0])
        assert to.committed() == 2


def test_another_producer_with_the_same_id_ends_this_one(kafka: KafkaBroker) -> None:
    with ends(kafka) as to:
        to.write({"id": 0})
        with ends(kafka, transactional_id=to.source) as other:
            other.write({"id": 7})
            other.group.commit(1)
            with pytest.raises(FatalError, match="another producer uses the same transactional id; give each replica"):
                to.group.commit(1)
            assert to.seen() == []
            assert other.seen() == [7]


@pytest.mark.parametrize("before", [0, 1, 30])
def test_a_topic_for_tiny_messages_gets_them_one_by_one(kafka: KafkaBroker, before: int) -> None:
    bodies = [{"id": number, "text": "x" * 1000} for number in range(60)]
    with ends(kafka, target=kafka.create_topic(max_message_bytes="20000")) as to:
        if before:
            assert to.write(*bodies[:before]) == []
        (failure,) = to.write(*bodies[before:], {"id": 60, "text": "x" * 30_000})
        to.group.commit(61)

        assert failure.record.body["id"] == 60
        assert to.seen() == list(range(60))


@pytest.mark.parametrize("act", ["down", "stall"])
def test_a_commit_waits_for_the_broker(own_kafka: KafkaBroker, act: str) -> None:
    with ends(own_kafka, own_kafka.proxied_account) as to:
        to.write({"id": 0})
        interrupt: Callable[[], None] = getattr(own_kafka.proxy, act)
        interrupt()
        committing = threading.Thread(target=to.group.commit, args=(1,), daemon=True)
        committing.start()
        eventually(lambda: to.health.state == "down", "it is said that it waits")
        assert to.seen() == []
        own_kafka.proxy.resume()
        own_kafka.proxy.up()
        committing.join(60)
        assert not committing.is_alive()
        assert to.seen() == [0]
        assert to.committed() == 1
        assert to.health.state == "up"


def test_without_a_group_there_is_nothing_to_commit_with() -> None:
    sink = Produce.model_validate({"account": {"bootstrap_servers": "127.0.0.1:1"}, "topic": "t", "exactly_once": True})
    writer = sink.open(WorkerContext("flow", 0, 1, threading.Event(), Health("sink")))
    with pytest.raises(FatalError, match="exactly_once needs one consumer of a Kafka group"):
        writer.write(records(1))
    started = time.monotonic()
    writer.close()
    assert time.monotonic() - started < 20, "a start that is under way is given up"
