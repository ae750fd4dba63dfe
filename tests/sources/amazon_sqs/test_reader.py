"""The reader by itself, against real SQS-compatible servers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from flowspec.records import Record
from sources.amazon_sqs import AwsAccount, ListenQueue
from sources.amazon_sqs.reader import QueueReader
from tests.pipelines.flows import eventually
from tests.servers.proxy import FaultyProxy
from tests.servers.sqs import SqsServer

Open = Callable[..., QueueReader]


@pytest.fixture
def open_reader() -> Iterator[Open]:
    """Opens readers and closes them at the end."""
    readers: list[QueueReader] = []

    def open_one(account: dict[str, Any], url: str, **fields: Any) -> QueueReader:
        trigger = ListenQueue(account=AwsAccount(**account), queue_url=url, **{"wait_time": 1, **fields})
        context = WorkerContext("test", 0, 1, threading.Event(), Health("trigger"))
        readers.append(trigger.open("0", None, context))
        return readers[-1]

    yield open_one
    for reader in readers:
        reader.close(5)


def send(sqs: SqsServer, url: str, *bodies: Any, group: str | None = None) -> None:
    for body in bodies:
        fifo = {} if group is None else {"MessageGroupId": group, "MessageDeduplicationId": f"{group}-{body}"}
        sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps(body), **fifo)  # type: ignore[arg-type]


def read(reader: QueueReader, count: int) -> list[Record]:
    """Read until `count` records have come, however many come at a time."""
    records: list[Record] = []

    def read_more() -> bool:
        records.extend(reader.read(count - len(records), 0.05))
        return len(records) == count

    eventually(read_more, f"{count} records are read")
    return records


def bodies(records: list[Record]) -> list[Any]:
    return [json.loads(record.raw) for record in records]


def test_messages_come_with_all_that_the_queue_says(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue()
    before = time.time()
    any_sqs.client.send_message(
        QueueUrl=url,
        MessageBody="hello é",
        MessageAttributes={
            "source": {"DataType": "String", "StringValue": "shop"},
            "size": {"DataType": "Number", "StringValue": "12"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )

    (record,) = read(open_reader(any_sqs.account, url), 1)

    assert record.raw == "hello é"
    assert record.headers == {"source": "shop", "size": 12, "raw": b"\x00\xff"}
    assert record.meta["receive_count"] == 1
    assert record.meta["message_id"]
    assert record.meta["queue_url"] == url
    assert abs(record.meta["sent_at"].timestamp() - before) < 60


def test_what_is_committed_is_deleted_and_what_was_not_read_is_given_back(
    any_sqs: SqsServer, open_reader: Open
) -> None:
    url = any_sqs.create_queue(VisibilityTimeout="600")
    send(any_sqs, url, *range(30))
    reader = open_reader(any_sqs.account, url, prefetch=20)
    read(reader, 10)

    reader.commit(reader.position())
    eventually(lambda: any_sqs.depth(url) == (0, 20), "ten are deleted and twenty prefetched")
    reader.stop()
    reader.close(5)

    assert any_sqs.depth(url) == (20, 0)


def test_a_commit_covers_what_was_read_before_the_position_and_no_more(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue(VisibilityTimeout="600")
    send(any_sqs, url, *range(10))
    reader = open_reader(any_sqs.account, url)
    read(reader, 4)
    position = reader.position()
    read(reader, 6)

    reader.commit(position)
    eventually(lambda: any_sqs.depth(url) == (0, 6), "four are deleted")
    reader.close(5)

    assert any_sqs.depth(url) == (0, 6), "messages in the flow are left to their timeout, not handed out at once"


def test_prefetch_is_bounded(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue(VisibilityTimeout="600")
    send(any_sqs, url, *range(60))
    reader = open_reader(any_sqs.account, url, prefetch=20, receivers=8)

    eventually(lambda: any_sqs.depth(url)[1] == 20, "the prefetch is full")
    read(reader, 5)
    eventually(lambda: any_sqs.depth(url)[1] > 20 or len(reader._unread) >= 15, "it goes on")

    assert any_sqs.depth(url)[1] <= 25


def test_a_batch_gathers_for_a_while(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue()
    reader = open_reader(any_sqs.account, url, batch_wait=60)
    send(any_sqs, url, *range(15))

    eventually(lambda: len(reader._unread) == 15, "all are received")

    assert reader.read(20, 0) == []
    assert sorted(bodies(reader.read(15, 0))) == list(range(15))


def test_a_message_in_the_flow_is_kept_for_longer_than_its_timeout(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue(VisibilityTimeout="6")
    send(any_sqs, url, *range(25))
    reader = open_reader(any_sqs.account, url)
    read(reader, 10)
    eventually(lambda: any_sqs.depth(url) == (0, 25), "all are received")

    until = time.monotonic() + 15
    while time.monotonic() < until:
        assert any_sqs.depth(url) == (0, 25), "a lease was lost"
        time.sleep(0.2)


def test_refused_deletes_are_tried_again_and_nothing_comes_twice(sqs: SqsServer, open_reader: Open) -> None:
    url = sqs.create_queue(VisibilityTimeout="6")
    send(sqs, url, *range(25))
    with FaultyProxy(sqs.endpoint) as proxy:
        proxy.refuse("DeleteMessageBatch")
        reader = open_reader({**sqs.account, "endpoint_url": proxy.endpoint}, url)
        read(reader, 25)
        reader.commit(reader.position())

        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert reader.read(10, 0.05) == []
        assert proxy.calls("DeleteMessageBatch") >= 3
        assert sqs.depth(url) == (0, 25)

        proxy.allow("DeleteMessageBatch")
        eventually(lambda: sqs.depth(url) == (0, 0), "all are deleted")
        reader.close(5)


def test_a_server_that_is_not_there_yet_is_waited_for(sqs: SqsServer, open_reader: Open) -> None:
    url = sqs.create_queue()
    send(sqs, url, 1)
    with FaultyProxy(sqs.endpoint) as proxy:
        proxy.down()
        reader = open_reader({**sqs.account, "endpoint_url": proxy.endpoint}, url)
        eventually(lambda: reader._health.state == "down", "the trigger says that it is down")

        proxy.up()

        assert bodies(read(reader, 1)) == [1]
        eventually(lambda: reader._health.state == "up", "the trigger says that it is up")
        reader.close(5)


def test_a_queue_that_does_not_exist_is_fatal(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue() + "-not"
    reader = open_reader(any_sqs.account, url)

    with pytest.raises(FatalError, match="does not exist"):
        eventually(lambda: bool(reader.read(1, 0.05)), "reading fails")


def test_a_lost_message_is_left_to_the_queue(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue(VisibilityTimeout="600")
    send(any_sqs, url, 1, 2)
    reader = open_reader(any_sqs.account, url)
    eventually(lambda: len(reader._unread) == 2, "both are received")
    lost = next(iter(reader._keeper._leases._held.values()))
    lost.expires_at = time.monotonic()

    assert len(reader.read(10, 0)) == 1
    assert len(reader._keeper._leases) == 1


def test_behind_a_lost_message_its_group_waits(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue(fifo=True, VisibilityTimeout="600")
    send(any_sqs, url, 1, 2, 3, group="a")
    send(any_sqs, url, 4, group="b")
    reader = open_reader(any_sqs.account, url)
    eventually(lambda: len(reader._unread) == 4, "all are received")
    first = next(lease for lease in reader._keeper._leases._held.values() if lease.group == "a")
    first.expires_at = time.monotonic()

    assert bodies(reader.read(10, 0)) == [4]


def test_messages_of_a_group_come_in_order(any_sqs: SqsServer, open_reader: Open) -> None:
    url = any_sqs.create_queue(fifo=True)
    for number in range(10):
        send(any_sqs, url, number, group=f"group-{number % 2}")
    reader = open_reader(any_sqs.account, url)

    seen: list[Record] = []
    while len(seen) < 10:
        seen += (some := reader.read(3, 0.05))
        if some:
            reader.commit(reader.position())

    for group in ("group-0", "group-1"):
        numbers = [json.loads(record.raw) for record in seen if record.key == group]
        assert numbers == sorted(numbers)
        assert len(numbers) == 5
