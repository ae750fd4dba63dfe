"""Looking at queues of real servers: the records are what the flow would read, and all are there afterwards."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from flowspec.records import Record
from sources.amazon_sqs import AwsAccount, ListenQueue
from sources.testing.lab import Lab
from tests.pipelines.flows import eventually
from tests.servers.sqs import SqsServer
from tests.sources.amazon_sqs.test_reader import Open, bodies, open_reader, read, send

__all__ = ["open_reader"]

CONTEXT = WorkerContext("looking", 0, 1, threading.Event(), Health("trigger"))


def sample(server: SqsServer, url: str, most: int = 10, wait: float = 5.0) -> list[Record]:
    trigger = ListenQueue(account=AwsAccount.model_validate(server.account), queue_url=url)
    return trigger.sample(most, wait, CONTEXT)


def test_the_records_are_those_that_are_read(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue()
    source: Any = {"source": {"DataType": "String", "StringValue": "shop"}}
    any_sqs.client.send_message(QueueUrl=url, MessageBody='{"id": 1}', MessageAttributes=source)

    (looked_at,) = sample(any_sqs, url)
    (record,) = read(open_reader(any_sqs.account, url), 1)

    assert (looked_at.meta.pop("receive_count"), record.meta.pop("receive_count")) == (1, 2), "what a look costs"
    assert looked_at == record
    trigger = ListenQueue(queue_url=url)
    assert trigger.identity(looked_at) == trigger.identity(record) == record.meta["message_id"]


def test_a_resting_queue_keeps_its_messages(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue()
    send(any_sqs, url, *range(25))

    assert len({record.meta["message_id"] for record in sample(any_sqs, url, 25)}) == 25
    assert any_sqs.depth(url) == (25, 0)
    assert len(sample(any_sqs, url, 3)) == 3
    assert any_sqs.depth(url) == (25, 0)
    assert sorted(map(int, any_sqs.drain(url))) == list(range(25))


def test_a_resting_fifo_queue_keeps_its_order(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue(fifo=True)
    for group in "ab":
        send(any_sqs, url, *range(6), group=group)

    assert len(sample(any_sqs, url, 4)) == 4
    assert any_sqs.depth(url) == (12, 0)
    looked_at = sample(any_sqs, url, 20)
    assert len(looked_at) >= 6, "what is received together, then its groups are hidden"
    for group in "ab":
        seen = bodies([record for record in looked_at if record.key == group])
        assert seen == list(range(len(seen)))
    assert any_sqs.depth(url) == (12, 0)


def test_nothing_there_is_no_error(any_sqs: SqsServer) -> None:
    assert sample(any_sqs, any_sqs.create_queue(), wait=1.0) == []


def test_a_queue_that_does_not_exist(any_sqs: SqsServer) -> None:
    with pytest.raises(FatalError, match="the queue does not exist"):
        sample(any_sqs, f"{any_sqs.create_queue()}-missing")


def with_redrive(server: SqsServer, receives: int) -> str:
    dead = server.create_queue()
    arn = server.client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
    return server.create_queue(RedrivePolicy=policy)


def test_no_look_moves_a_message_to_the_dead_letter_queue(any_sqs: SqsServer, caplog: pytest.LogCaptureFixture) -> None:
    url = with_redrive(any_sqs, 1)
    send(any_sqs, url, 1)
    with pytest.raises(FatalError, match="raise maxReceiveCount, or look at the dead-letter queue"):
        sample(any_sqs, url)
    assert any_sqs.depth(url) == (1, 0)

    url = with_redrive(any_sqs, 2)
    send(any_sqs, url, 1)
    sample(any_sqs, url)
    assert "the next receive" not in caplog.text
    sample(any_sqs, url)
    assert "the next receive moves them to the dead-letter queue" in caplog.text


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_a_running_flow_gets_all(any_sqs: SqsServer, tmp_path: Path, *, fifo: bool) -> None:
    lab = Lab(tmp_path)
    url = any_sqs.create_queue(fifo=fifo)
    spec: dict[str, Any] = {
        "connector": "amazon-sqs",
        "event": "listen-queue",
        "account": any_sqs.account,
        "queue_url": url,
        "batch_size": 10,
        "wait_time": 1,
        "prefetch": 10,
        "receivers": 1,
    }
    count = 100
    for number in range(count):
        order: Any = {"MessageGroupId": f"group-{number % 5}", "MessageDeduplicationId": str(number)} if fifo else {}
        any_sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps({"id": number}), **order)
    flow = lab.flow(spec)
    lab.sink_down()
    with flow.running():
        eventually(lambda: any_sqs.depth(url)[1] >= 10, "it has what it may have")
        before = any_sqs.depth(url)
        looked_at = sample(any_sqs, url, 5)
        assert any_sqs.depth(url)[0] + any_sqs.depth(url)[1] == sum(before) == count
        lab.sink_up()
        while lab.distinct() < count // 2:
            looked_at += sample(any_sqs, url, 5, wait=0.0)
        lab.wait_for(count)
        eventually(lambda: any_sqs.depth(url) == (0, 0), "all are deleted")
    assert looked_at, "there was something to look at"
    lab.delivered_once(range(count))
    if fifo:
        for group in range(5):
            assert [number for number in lab.ids() if number % 5 == group] == list(range(group, count, 5))
