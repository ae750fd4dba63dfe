"""The servers that benchmarks run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from typing_extensions import Self

from benchmarks.latency import Line
from benchmarks.senders import send_to_kafka, send_to_rabbitmq, send_to_sqs
from sources.amazon_sqs import AwsAccount, ListenQueue
from sources.kafka import ConsumeTopics, KafkaAccount
from sources.rabbitmq import ConsumeQueue, RabbitAccount
from tests.servers.kafka import KafkaBroker, kafka
from tests.servers.postgresql import PostgresServer, postgresql
from tests.servers.rabbitmq import RabbitNode, rabbitmq
from tests.servers.sqs import SqsServer, elasticmq, ministack

__all__ = ["BenchmarkServer", "Systems"]


@dataclass(frozen=True)
class BenchmarkServer:
    """A running SQS server, and what to call it."""

    name: str
    sqs: SqsServer


class Systems:
    """The systems, each started when it is first asked for, and ended with the block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def sqs(self) -> BenchmarkServer:
        """ElasticMQ, or ministack where that cannot be had."""
        return self._stack.enter_context(_fastest_sqs(self._own("sqs")))

    @cached_property
    def rabbitmq(self) -> RabbitNode:
        """A RabbitMQ node."""
        return self._stack.enter_context(rabbitmq(self._own("rabbitmq")))

    @cached_property
    def kafka(self) -> KafkaBroker:
        """A Kafka broker."""
        return self._stack.enter_context(kafka(self._own("kafka")))

    @cached_property
    def postgresql(self) -> PostgresServer:
        """A PostgreSQL server."""
        return self._stack.enter_context(postgresql(self._own("postgresql")))

    def lines(self) -> Iterator[Line]:
        """What the latency of each is measured with."""
        url = self.sqs.sqs.create_queue()
        trigger = ListenQueue(queue_url=url, account=AwsAccount(**self.sqs.sqs.account), wait_time=1)
        yield Line(self.sqs.name, trigger, send_to_sqs, self.sqs.sqs.endpoint, url, 20, 200)
        queue = self.rabbitmq.create_queue()
        consume = ConsumeQueue(account=RabbitAccount(**self.rabbitmq.account), queue=queue)
        yield Line("RabbitMQ", consume, send_to_rabbitmq, self.rabbitmq.url, queue, 1_000, 10_000)
        topic = self.kafka.create_topic()
        topics = ConsumeTopics(account=KafkaAccount(**self.kafka.account), topics=[topic])
        yield Line("Kafka", topics, send_to_kafka, self.kafka.bootstrap_servers, topic, 1_000, 10_000)

    def _own(self, name: str) -> Path:
        directory = self._directory / name
        directory.mkdir()
        return directory


@contextmanager
def _fastest_sqs(directory: Path) -> Iterator[BenchmarkServer]:
    with ExitStack() as stack:
        try:
            server = BenchmarkServer("ElasticMQ", stack.enter_context(elasticmq(directory)))
        except pytest.skip.Exception as missing:
            name = f"ministack, which slows down with its backlog and looks for messages every 100 ms ({missing})"
            server = BenchmarkServer(name, stack.enter_context(ministack(directory)))
        yield server
