"""The mock fails as it is told, and only then."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from tests.servers.kafka_mock import KafkaMock


def send(mock: KafkaMock, topic: str) -> KafkaError | None:
    """Send one record with a client that does not try again; answers its error."""
    reports: list[KafkaError | None] = []

    def report(error: KafkaError | None, message: Message) -> None:
        reports.append(error)

    producer = Producer({"bootstrap.servers": mock.bootstrap_servers, "retries": 0, "log_level": 0})
    producer.produce(topic, b"value", on_delivery=report)
    assert producer.flush(60) == 0
    (error,) = reports
    return error


def test_it_keeps_what_is_written(kafka_mock: KafkaMock) -> None:
    topic = kafka_mock.create_topic(2)

    assert send(kafka_mock, topic) is None

    settings = {"group.id": "readers", "auto.offset.reset": "earliest", "log_level": 0}
    consumer = Consumer({"bootstrap.servers": kafka_mock.bootstrap_servers, **settings})
    consumer.subscribe([topic])
    assert [message.value() for message in consumer.consume(1, timeout=60)] == [b"value"]
    consumer.close()


def test_requests_fail_in_turn(kafka_mock: KafkaMock) -> None:
    topic = kafka_mock.create_topic()
    kafka_mock.fail("Produce", KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG)

    errors = [send(kafka_mock, topic) for _ in range(3)]

    assert [error and error.code() for error in errors] == [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, None]


def test_a_broker_goes_and_comes_back(kafka_mock: KafkaMock) -> None:
    topic = kafka_mock.create_topic()
    kafka_mock.down()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": kafka_mock.bootstrap_servers, "log_level": 0}).list_topics(timeout=0.5)

    kafka_mock.up()

    assert send(kafka_mock, topic) is None


def test_a_delayed_broker_answers_later(kafka_mock: KafkaMock) -> None:
    topic = kafka_mock.create_topic()
    kafka_mock.delay(0.5)
    started = time.monotonic()

    assert send(kafka_mock, topic) is None

    assert time.monotonic() - started >= 0.5


def test_what_it_does_not_know_is_an_error(kafka_mock: KafkaMock) -> None:
    with pytest.raises(AssertionError, match="down"):
        kafka_mock.down(broker=7)
