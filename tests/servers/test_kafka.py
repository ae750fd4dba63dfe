"""A Kafka broker that can be killed, and keeps what it has."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from tests.servers.kafka import KafkaBroker
from tests.servers.process import listens


def group_of(broker: KafkaBroker, servers: str) -> Consumer:
    """A member of group `readers`."""
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "readers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )


def test_what_is_written_is_there(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(3)

    kafka.produce(topic, b"1", None, b"", key=b"key", headers=[("a", b"1"), ("a", None)], timestamp=1_000)
    kafka.produce(topic, b"2", partition=2)

    one = [message for message in kafka.consume(topic) if message.key() == b"key"]
    assert [message.value() for message in one] == [b"1", None, b""]
    assert {str(message.headers()) for message in one} == {"[('a', b'1'), ('a', None)]"}
    assert {message.timestamp()[1] for message in one} == {1_000}
    (other,) = [message for message in kafka.consume(topic) if message.key() is None]
    assert (other.value(), other.partition(), other.headers()) == (b"2", 2, None)
    assert len(kafka.consume(topic, 2)) == 2
    assert sum(kafka.end_offsets(topic).values()) == 4


def test_a_topic_has_the_settings_it_was_given(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(max_message_bytes="1000")

    with pytest.raises(AssertionError, match="MSG_SIZE_TOO_LARGE"):
        kafka.produce(topic, b"x" * 2_000)


def test_no_topic_comes_by_itself(kafka: KafkaBroker) -> None:
    with pytest.raises(AssertionError, match="UNKNOWN_TOPIC"):
        kafka.produce("unknown", b"lost")


def test_it_knows_what_a_group_has_committed(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(2)
    kafka.produce(topic, *[b"x"] * 10, partition=1)
    assert (kafka.committed("readers", topic), kafka.lag("readers", topic)) == ({}, 10)

    consumer = group_of(kafka, kafka.bootstrap_servers)
    consumer.subscribe([topic])
    got = consumer.consume(4, timeout=60)
    consumer.commit(message=got[-1], asynchronous=False)
    consumer.close()

    assert (kafka.committed("readers", topic), kafka.lag("readers", topic)) == ({1: 4}, 6)
    assert kafka.consume("__consumer_offsets")


def test_only_what_is_committed_is_read_if_asked(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(60)
    for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        assert producer.flush(60) == 0
        end(60)

    assert [message.value() for message in kafka.consume(topic)] == [b"aborted", b"committed"]
    assert [message.value() for message in kafka.consume(topic, read_committed=True)] == [b"committed"]


def test_a_client_of_the_proxy_sees_nothing_but_the_proxy(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic()
    kafka.produce(topic, b"1")
    consumer = group_of(kafka, kafka.proxied_servers)
    consumer.subscribe([topic])
    assert [message.value() for message in consumer.consume(1, timeout=60)] == [b"1"]

    kafka.proxy.down()
    with pytest.raises(KafkaException):
        consumer.list_topics(timeout=2)
    kafka.produce(topic, b"2")

    kafka.proxy.up()
    assert [message.value() for message in consumer.consume(1, timeout=60)] == [b"2"]
    consumer.close()


def test_killed_and_started_again_it_has_all(own_kafka: KafkaBroker) -> None:
    topic = own_kafka.create_topic(2)
    values = [b"%d" % number for number in range(500)]
    own_kafka.produce(topic, *values, partition=1)
    consumer = group_of(own_kafka, own_kafka.bootstrap_servers)
    consumer.subscribe([topic])
    consumer.commit(message=consumer.consume(100, timeout=60)[-1], asynchronous=False)
    consumer.close()

    own_kafka.kill()

    assert not listens(int(own_kafka.bootstrap_servers.partition(":")[2]))
    own_kafka.start()
    assert [message.value() for message in own_kafka.consume(topic)] == values
    assert own_kafka.committed("readers", topic) == {1: 100}
    own_kafka.produce(topic, b"more", partition=1)
    assert own_kafka.lag("readers", topic) == 401
