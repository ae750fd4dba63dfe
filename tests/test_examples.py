"""Every example is run: on orders as the demonstration sends them, until nothing is left of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowspec import load
from pipelines.demo.orders import order
from tests.servers.kafka import KafkaBroker
from tests.servers.rabbitmq import RabbitNode
from tests.servers.sqs import SqsServer

EXAMPLES = sorted(path for path in (Path(__file__).parents[1] / "examples").iterdir() if path.suffix != ".toml")
ORDERS = 200


@dataclass
class Prepared:
    """A system with orders in it."""

    settings: dict[str, str]
    """The environment variables by which an example finds it."""
    left: Callable[[], int]
    """How many of the orders are not delivered yet."""


def in_sqs(sqs: SqsServer, orders: list[bytes]) -> Prepared:
    url = sqs.create_queue()
    for payload in orders:
        sqs.client.send_message(QueueUrl=url, MessageBody=payload.decode())
    return Prepared({"SQS_ENDPOINT": sqs.endpoint, "ORDERS_QUEUE_URL": url}, lambda: sum(sqs.depth(url)))


def in_rabbitmq(rabbitmq: RabbitNode, orders: list[bytes]) -> Prepared:
    queue = rabbitmq.create_queue(quorum=True)
    rabbitmq.publish(queue, *orders)
    return Prepared({"RABBITMQ_URL": rabbitmq.url, "ORDERS_QUEUE": queue}, lambda: sum(rabbitmq.depth(queue)))


def in_kafka(kafka: KafkaBroker, orders: list[bytes]) -> Prepared:
    topic = kafka.create_topic()
    kafka.produce(topic, *orders)
    settings = {"KAFKA_SERVERS": kafka.bootstrap_servers, "ORDERS": topic}
    return Prepared(settings, lambda: kafka.lag("orders-exactly-once", topic))


PREPARE: dict[str, tuple[str, Callable[..., Prepared]]] = {
    "amazon-sqs": ("sqs", in_sqs),
    "rabbitmq": ("rabbitmq", in_rabbitmq),
    "kafka": ("kafka", in_kafka),
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(
    example: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_QUEUE_URL", "http://127.0.0.1:1/1/not-yet")
    spec = load(example)
    chance = random.Random(1)
    fixture, prepare = PREPARE[spec.trigger.connector]
    prepared = prepare(request.getfixturevalue(fixture), [order(number, chance) for number in range(ORDERS)])
    settings = prepared.settings
    if any(sink.connector == "kafka" for sink in spec.sinks):
        kafka: KafkaBroker = request.getfixturevalue("kafka")
        settings.update(KAFKA_SERVERS=kafka.bootstrap_servers, PAID_ORDERS=kafka.create_topic())

    run = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", str(example), "--until-idle", "5", "--status", "json"],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    last = json.loads(run.stderr.splitlines()[-1])
    assert last["received"] == ORDERS
    assert last["delivered"] > ORDERS / 5
    assert 0 < last["failed"] < ORDERS / 5, "some of the orders are broken on purpose"
    assert prepared.left() == 0
