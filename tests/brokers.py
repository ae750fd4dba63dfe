"""RabbitMQ, Kafka and an SQS server to play with: `make brokers`."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.cimpl import NewTopic

from tests.servers.kafka import kafka
from tests.servers.rabbitmq import PASSWORD, rabbitmq
from tests.servers.sqs import ministack

_PATIENCE = 60.0


class Broker(NamedTuple):
    """What a person needs to know of one."""

    name: str
    account: dict[str, Any]
    trigger: dict[str, Any]
    notes: tuple[str, ...] = ()


@contextmanager
def _rabbitmq(directory: Path) -> Iterator[Broker]:
    with rabbitmq(directory) as node:
        with node.connect() as connection:
            connection.channel().queue_declare("orders", durable=True)
        trigger = {"connector": "rabbitmq", "event": "consume-queue", "account": "rabbitmq", "queue": "orders"}
        yield Broker("rabbitmq", node.account, trigger, (f"RabbitMQ's pages: {node.management} (guest, {PASSWORD})",))


@contextmanager
def _kafka(directory: Path) -> Iterator[Broker]:
    with kafka(directory) as broker:
        admin = broker.admin()
        if "orders" not in admin.list_topics(timeout=_PATIENCE).topics:
            admin.create_topics([NewTopic("orders", 3)])["orders"].result(_PATIENCE)
        trigger = {"connector": "kafka", "event": "consume-topics", "account": "kafka", "topics": ["orders"]}
        yield Broker("kafka", broker.account, trigger)


@contextmanager
def _sqs(directory: Path) -> Iterator[Broker]:
    with ministack(directory) as server:
        url = server.client.create_queue(QueueName="orders")["QueueUrl"]
        trigger = {"connector": "amazon-sqs", "event": "listen-queue", "account": "aws", "queue_url": url}
        yield Broker("aws", server.account, trigger)


_BROKERS: tuple[Callable[[Path], AbstractContextManager[Broker]], ...] = (_rabbitmq, _kafka, _sqs)


def _started(stack: ExitStack) -> Iterator[Broker]:
    for number, broker in enumerate(_BROKERS):
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"broker-{number}-")))
        try:
            yield stack.enter_context(broker(directory))
        except (pytest.skip.Exception, pytest.fail.Exception) as reason:
            print(reason.msg, file=sys.stderr)


def _show(brokers: list[Broker]) -> None:
    print("# accounts.toml")
    for broker in brokers:
        # A text of JSON is one of TOML.
        fields = "".join(f"{name} = {json.dumps(value)}\n" for name, value in broker.account.items())
        print(f'[{broker.name}]\nconnector = "{broker.trigger["connector"]}"\n{fields}')
    print("# the trigger of a spec, one or another")
    for broker in brokers:
        print(f'"trigger": {json.dumps(broker.trigger)}')
    for note in (note for broker in brokers for note in broker.notes):
        print(f"\n{note}")
    print("\nCtrl-C ends them, and what they have is gone.", flush=True)


def main() -> None:
    """Start them, say how to reach them, and end them with Ctrl-C."""
    with ExitStack() as stack:
        try:
            print("Starting; this takes ten seconds, the first time a minute.\n", flush=True)
            _show(list(_started(stack)))
            signal.pause()
        except KeyboardInterrupt:
            print("\nEnding.", flush=True)


if __name__ == "__main__":
    main()
