"""Looking at queues of a real node: the records are what the flow would read, and all are there afterwards."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from flowspec.records import Record
from sources.rabbitmq import ConsumeQueue, RabbitAccount
from sources.testing.lab import Lab, numbered
from tests.pipelines.flows import eventually
from tests.servers.rabbitmq import RabbitNode
from tests.sources.rabbitmq.conftest import Open, read

CONTEXT = WorkerContext("looking", 0, 1, threading.Event(), Health("trigger"))
KINDS = pytest.mark.parametrize("quorum", [False, True], ids=["classic", "quorum"])


def sample(node: RabbitNode, queue: str, most: int = 10, wait: float = 5.0, **fields: Any) -> list[Record]:
    trigger = ConsumeQueue(account=RabbitAccount(**node.account), queue=queue, **fields)
    return trigger.sample(most, wait, CONTEXT)


@KINDS
def test_the_records_are_those_that_are_read(rabbitmq: RabbitNode, open_reader: Open, *, quorum: bool) -> None:
    queue = rabbitmq.create_queue(quorum=quorum)
    far = datetime(2100, 1, 1, tzinfo=timezone.utc)
    rabbitmq.publish(
        queue, b'{"id": 1}', message_id="m-1", timestamp=int(far.timestamp()), headers={"source": "shop", "count": 7}
    )

    (looked_at,) = sample(rabbitmq, queue)
    (record,) = read(open_reader(rabbitmq.account, queue), 1)

    assert looked_at.meta.pop("redelivered") is False
    assert record.meta.pop("redelivered") is True, "what a look costs"
    assert record.meta.pop("delivery_count") - looked_at.meta.pop("delivery_count") == int(quorum)
    for each in (looked_at, record):
        each.headers.pop("x-delivery-count", None)
    assert looked_at == record
    assert record.meta["timestamp"] == far


@KINDS
def test_a_resting_queue_keeps_its_messages_and_their_order(rabbitmq: RabbitNode, *, quorum: bool) -> None:
    queue = rabbitmq.create_queue(quorum=quorum)
    payloads = numbered(range(300))
    rabbitmq.publish(queue, *payloads)

    for most in (3, 250, 1_000):
        assert [record.raw for record in sample(rabbitmq, queue, most)] == payloads[:most]
        eventually(lambda: rabbitmq.depth(queue) == (300, 0), "all wait again")
    assert rabbitmq.drain(queue) == payloads


def test_nothing_there_is_no_error(rabbitmq: RabbitNode) -> None:
    assert sample(rabbitmq, rabbitmq.create_queue(), wait=0.3) == []


def test_the_first_message_is_waited_for(rabbitmq: RabbitNode) -> None:
    queue = rabbitmq.create_queue()
    late = threading.Timer(0.5, rabbitmq.publish, (queue, b"1"))
    late.start()

    assert [record.raw for record in sample(rabbitmq, queue, wait=50.0)] == [b"1"]
    late.join()


def test_what_cannot_be_looked_at(rabbitmq: RabbitNode) -> None:
    with pytest.raises(FatalError, match="no queue 'orders-missing'"):
        sample(rabbitmq, "orders-missing")
    alone = rabbitmq.create_queue(quorum=True, arguments={"x-single-active-consumer": True})
    stream = rabbitmq.create_queue(arguments={"x-queue-type": "stream"})
    for queue in (alone, stream):
        with pytest.raises(FatalError, match="bind a classic queue to the same exchange"):
            sample(rabbitmq, queue)


@pytest.mark.parametrize(("properties", "identities"), [({}, 0), ({"message_id": ""}, 0), ({"message_id": "7"}, 2)])
def test_a_message_is_known_by_the_id_that_its_publisher_gave_and_by_its_payload(
    rabbitmq: RabbitNode, properties: dict[str, str], identities: int
) -> None:
    queue = rabbitmq.create_queue()
    rabbitmq.publish(queue, b"1", b"2", **properties)

    found = {ConsumeQueue(queue=queue).identity(record) for record in sample(rabbitmq, queue) * 2}

    assert len(found - {None}) == identities


@KINDS
def test_a_running_flow_gets_all(rabbitmq: RabbitNode, tmp_path: Path, *, quorum: bool) -> None:
    lab = Lab(tmp_path)
    queue = rabbitmq.create_queue(quorum=quorum)
    rabbitmq.publish(queue, *numbered(range(3_000)))
    flow = lab.flow(
        {
            "connector": "rabbitmq",
            "event": "consume-queue",
            "account": rabbitmq.account,
            "queue": queue,
            "batch_size": 20,
            "prefetch": 40,
        }
    )
    looked_at = 0
    with flow.running():
        lab.wait_for(1)
        while lab.distinct() < 2_000:
            looked_at += len(sample(rabbitmq, queue, 5, wait=0.0))
        lab.wait_for(3_000)
        eventually(lambda: rabbitmq.depth(queue) == (0, 0), "all are acknowledged")
    assert looked_at, "there was something to look at"
    lab.delivered_once(range(3_000))


def test_a_flow_that_holds_its_messages_keeps_their_order(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    queue = rabbitmq.create_queue()
    rabbitmq.publish(queue, *numbered(range(500)))
    account = {"connector": "rabbitmq", "event": "consume-queue", "account": rabbitmq.account}
    flow = lab.flow({**account, "queue": queue, "batch_size": 20, "prefetch": 40})
    lab.sink_down()
    with flow.running():
        eventually(lambda: rabbitmq.depth(queue) == (460, 40), "it has what it may have")
        assert [record.raw for record in sample(rabbitmq, queue, 5)] == numbered(range(40, 45))
        eventually(lambda: rabbitmq.depth(queue) == (460, 40), "depth is what it was")
        lab.sink_up()
        lab.wait_for(500)
    assert lab.ids() == list(range(500)), "complete, once, in order"
