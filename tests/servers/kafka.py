"""A real Kafka broker of one node, and what tests do with it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from tests.servers import maven
from tests.servers.kafka_program import KafkaProgram, kafka_program
from tests.servers.missing import missing
from tests.servers.process import server_port
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["KafkaBroker", "kafka"]

_PATIENCE = 60.0
"""Seconds for any one answer."""

_QUEUE = 10_000
"""How many records wait for their confirmation."""

_numbers = itertools.count()


class KafkaBroker:
    """A running broker, which does not create topics by itself."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.account: dict[str, Any] = {"bootstrap_servers": bootstrap_servers}
        self._client: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "log_level": 0,
        }

    def admin(self) -> AdminClient:
        """A client that can ask for and change anything; hold it until it has answered."""
        return AdminClient(self._client)

    def create_topic(self, partitions: int = 1, **config: str) -> str:
        """A topic of its own for a test, ready to use; answers its name.

        Args:
            partitions: How many it has.
            config: Its settings, with `_` for each dot, such as `cleanup_policy="compact"`.
        """
        name = f"topic-{os.getpid()}-{next(_numbers)}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, config=settings)])[name].result(_PATIENCE)
        until = time.monotonic() + _PATIENCE
        while not self._has_leaders(admin, name, partitions):
            assert time.monotonic() < until, f"{name} has no leaders"
            time.sleep(0.02)
        return name

    def produce(
        self,
        topic: str,
        *values: bytes | None,
        key: bytes | None = None,
        headers: list[tuple[str, bytes | None]] | None = None,
        partition: int | None = None,
        timestamp: int = 0,
    ) -> None:
        """Write records in this order; each is confirmed.

        Args:
            topic: Where to.
            values: What they are; None is a tombstone.
            key: The key of each.
            headers: The headers of each.
            partition: Where all go; without one, their keys decide.
            timestamp: Milliseconds since 1970 of each; 0 is now.
        """
        failures: list[KafkaError] = []
        producer = Producer({**self._client, "max.in.flight": 1, "topic.metadata.propagation.max.ms": 1000})
        for value in values:
            while len(producer) >= _QUEUE:
                producer.poll(0.1)
            producer.produce(
                topic,
                value,
                key,
                partition=-1 if partition is None else partition,
                headers=list(headers or []),
                timestamp=timestamp,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
        unconfirmed = producer.flush(_PATIENCE)
        assert not failures, failures[0]
        assert not unconfirmed, f"{unconfirmed} records are not confirmed"

    def consume(self, topic: str, count: int | None = None, *, read_committed: bool = False) -> list[Message]:
        """The first records of a topic, or without a count all that it has, whatever any group has committed."""
        settings = {
            "group.id": "tests",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "isolation.level": "read_committed" if read_committed else "read_uncommitted",
        }
        messages: list[Message] = []
        consumer = Consumer({**self._client, **settings})
        try:
            partitions = self._partitions(topic)
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
            unread = set(partitions)
            while unread if count is None else len(messages) < count:
                message = consumer.poll(_PATIENCE)
                assert message is not None, f"{len(messages)} records of {topic}, then nothing"
                error = message.error()
                if error is None:
                    messages.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise KafkaException(error)
        finally:
            consumer.close()
        return messages

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The offset that a group has committed, of each partition where it has."""
        # An admin client would crash the process where the coordinator of the group is not ready yet.
        consumer = Consumer({**self._client, "group.id": group, "isolation.level": "read_uncommitted"})
        try:
            asked = [TopicPartition(topic, partition) for partition in self._partitions(topic)]
            return {each.partition: each.offset for each in consumer.committed(asked, _PATIENCE) if each.offset >= 0}
        finally:
            consumer.close()

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset after the last record, of each partition."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        admin = self.admin()
        asked = admin.list_offsets({TopicPartition(topic, each): latest for each in self._partitions(topic)})
        return {each.partition: answer.result(_PATIENCE).offset for each, answer in asked.items()}

    def lag(self, group: str, topic: str) -> int:
        """How many offsets a group has not committed; control records of transactions count as well."""
        committed = self.committed(group, topic)
        return sum(end - committed.get(partition, 0) for partition, end in self.end_offsets(topic).items())

    def kill(self) -> None:
        """kill -9."""
        _needs_its_own()

    def start(self) -> None:
        """Start it again with all that it had, where it was."""
        _needs_its_own()

    @property
    def proxy(self) -> TcpProxy:
        """What is in front of its second listener."""
        _needs_its_own()

    @property
    def proxied_servers(self) -> str:
        """Where a client finds it that shall only ever see the proxy."""
        return f"127.0.0.1:{self.proxy.port}"

    @property
    def proxied_account(self) -> dict[str, Any]:
        """The account of such a client."""
        return {"bootstrap_servers": self.proxied_servers}

    def _partitions(self, topic: str) -> list[int]:
        return sorted(self.admin().list_topics(topic, _PATIENCE).topics[topic].partitions)

    def _has_leaders(self, admin: AdminClient, topic: str, partitions: int) -> bool:
        metadata = admin.list_topics(topic, _PATIENCE).topics[topic].partitions.values()
        return len(metadata) == partitions and all(partition.leader >= 0 for partition in metadata)


class _PrivateBroker(KafkaBroker):
    """A broker that belongs to this process."""

    def __init__(self, program: KafkaProgram, directory: Path) -> None:
        port, proxied = server_port(), server_port()
        super().__init__(f"127.0.0.1:{port}")
        self._proxy = TcpProxy("127.0.0.1", proxied)
        self._process = program.process(directory, port, proxied, self._proxy.port)

    def start(self) -> None:
        self._process.start(self._is_ready)

    def kill(self) -> None:
        self._process.kill()

    @property
    def proxy(self) -> TcpProxy:
        return self._proxy

    def _is_ready(self) -> bool:
        try:
            return bool(self.admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False


@contextmanager
def kafka(directory: Path) -> Iterator[KafkaBroker]:
    """A broker of its own, on the loopback interface only; else the one that `PIPELINES_TEST_KAFKA` names."""
    program = kafka_program()
    if isinstance(program, maven.MavenError):
        yield _named(program)
        return
    broker = _PrivateBroker(program, directory)
    with broker.proxy:
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()


def _named(reason: maven.MavenError) -> KafkaBroker:
    named = os.environ.get("PIPELINES_TEST_KAFKA")
    if named is None:
        remedy = f"{reason}; a broker for tests can be named: PIPELINES_TEST_KAFKA=host:port"
        missing("Kafka", remedy, excused=isinstance(reason, maven.UnreachableError))
    return KafkaBroker(named)


def _needs_its_own() -> NoReturn:
    pytest.skip("NOT TESTED, needs a Kafka broker that it may kill: the one of PIPELINES_TEST_KAFKA is not")
