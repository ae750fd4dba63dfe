"""The reader by itself, against a real broker."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flowspec.records import Record
from sources.rabbitmq.reader import QueueReader
from tests.pipelines.flows import eventually
from tests.servers.rabbitmq import RabbitNode
from tests.servers.tcp_proxy import TcpProxy
from tests.sources.rabbitmq.conftest import Open, read

LOGGED_CHANGES = "trigger is down", "trigger is back"


@pytest.fixture(params=[False, True], ids=["classic", "quorum"])
def quorum(request: pytest.FixtureRequest) -> bool:
    answer: bool = request.param
    return answer


@pytest.fixture
def proxy(rabbitmq: RabbitNode) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", rabbitmq.port) as proxy:
        yield proxy


def through(proxy: TcpProxy, **fields: Any) -> dict[str, Any]:
    """An account that reaches the broker through a proxy."""
    return {"url": RabbitNode.url_at(proxy.port), **fields}


def send(node: RabbitNode, queue: str, numbers: range) -> None:
    node.publish(queue, *(json.dumps(number).encode() for number in numbers))


def numbers(records: list[Record]) -> list[int]:
    return [json.loads(record.raw) for record in records]


def wait_for_depth(node: RabbitNode, queue: str, ready: int, unacknowledged: int) -> None:
    eventually(
        lambda: node.depth(queue) == (ready, unacknowledged),
        f"{ready} messages are ready and {unacknowledged} unacknowledged",
        lambda: node.depth(queue),
    )


def changes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of the trigger's state, in order."""
    messages = [record.getMessage() for record in caplog.records]
    return [text for message in messages for text in LOGGED_CHANGES if message.startswith(text)]


def goes_down_and_up_once(caplog: pytest.LogCaptureFixture) -> None:
    eventually(lambda: len(changes(caplog)) >= 2, "both are logged")
    assert changes(caplog) == ["trigger is down", "trigger is back"]


def commit_all(reader: QueueReader) -> None:
    reader.commit(reader.position())


def test_messages_come_with_all_that_the_sender_said(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    moment = datetime(2024, 2, 29, 12, 30, tzinfo=timezone.utc)
    headers = {
        "text": "é",
        "number": -5,
        "large": 2**40,
        "yes": True,
        "none": None,
        "bytes": b"\x00\xff",
        "price": Decimal("12.75"),
        "at": moment,
        "list": ["a", 1, {"b": [None]}],
        "table": {"deep": {"er": 1}},
    }
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 1,
        "priority": 3,
        "correlation_id": "c1",
        "reply_to": "answers",
        "expiration": "60000",
        "message_id": "m1",
        "timestamp": int(moment.timestamp()),
        "type": "order",
        "user_id": "guest",
        "app_id": "shop",
        "cluster_id": "x",
    }
    rabbitmq.publish(queue, b'{"id": 1}', headers=headers, **properties)

    (record,) = read(open_reader(rabbitmq.account, queue), 1)

    assert record.raw == b'{"id": 1}'
    assert record.key == queue
    assert record.headers == headers
    assert {name: type(value) for name, value in record.headers.items()} == {
        name: type(value) for name, value in headers.items()
    }
    assert record.meta == {
        **properties,
        "timestamp": moment,
        "queue": queue,
        "exchange": "",
        "routing_key": queue,
        "redelivered": False,
        "delivery_count": 0,
    }


def test_bodies_are_what_was_sent(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    sent = [b"", bytes(range(256)), b"x" * 1_000_000, b"", b"last"]
    rabbitmq.publish(queue, *sent)

    records = read(open_reader(rabbitmq.account, queue), len(sent))

    assert [record.raw for record in records] == sent
    assert records[0].meta["delivery_mode"] == 2


def test_a_commit_covers_what_was_read_before_the_position_and_no_more(
    rabbitmq: RabbitNode, open_reader: Open, quorum: bool
) -> None:
    queue = rabbitmq.create_queue(quorum=quorum)
    send(rabbitmq, queue, range(10))
    reader = open_reader(rabbitmq.account, queue)
    assert numbers(read(reader, 4)) == [0, 1, 2, 3]
    position = reader.position()
    read(reader, 6)

    reader.commit(position)
    reader.commit(position)

    wait_for_depth(rabbitmq, queue, 0, 6)
    commit_all(reader)
    wait_for_depth(rabbitmq, queue, 0, 0)
    assert reader._health.retries == 0, "the broker objects to nothing"


def test_prefetch_is_bounded(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(60))
    reader = open_reader(rabbitmq.account, queue, prefetch=20)
    wait_for_depth(rabbitmq, queue, 40, 20)

    read(reader, 5)
    assert rabbitmq.depth(queue) == (40, 20), "what is in the flow counts"

    commit_all(reader)
    wait_for_depth(rabbitmq, queue, 35, 20)


def test_a_batch_gathers_for_a_while(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(15))
    reader = open_reader(rabbitmq.account, queue, batch_wait=60)
    eventually(lambda: len(reader._unread) == 15, "all are received")

    assert reader.read(20, 0) == []
    assert numbers(reader.read(15, 0)) == list(range(15))


def test_a_stop_gives_back_what_was_not_used(rabbitmq: RabbitNode, open_reader: Open, quorum: bool) -> None:
    queue = rabbitmq.create_queue(quorum=quorum)
    send(rabbitmq, queue, range(30))
    reader = open_reader(rabbitmq.account, queue, prefetch=20)
    read(reader, 10)
    wait_for_depth(rabbitmq, queue, 10, 20)

    reader.stop()
    commit_all(reader)
    wait_for_depth(rabbitmq, queue, 10, 10)
    reader.close(10)
    reader.close(10)

    # A broker may take a moment to give back what a channel had.
    wait_for_depth(rabbitmq, queue, 20, 0)
    assert [json.loads(body) for body in rabbitmq.drain(queue)] == list(range(10, 30))
    assert reader.position()[1] == 10


def test_commits_before_a_close_are_told(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(10))
    reader = open_reader(rabbitmq.account, queue)
    read(reader, 6)

    commit_all(reader)
    reader.close(10)

    wait_for_depth(rabbitmq, queue, 4, 0)


def test_a_close_is_in_time_when_the_broker_does_not_answer(
    rabbitmq: RabbitNode, proxy: TcpProxy, open_reader: Open
) -> None:
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(3))
    reader = open_reader(through(proxy), queue)
    read(reader, 3)
    proxy.stall()
    commit_all(reader)

    began = time.monotonic()
    reader.close(1)

    assert time.monotonic() - began < 10
    assert reader._thread.join(0), "nothing is left running"


def test_a_reader_that_never_connected_is_closed(open_reader: Open) -> None:
    with TcpProxy("127.0.0.1", 1) as nowhere:
        nowhere.down()
        reader = open_reader(through(nowhere), "orders")
        eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
        reader.stop()
        reader.close(5)
    assert reader._thread.join(0)


def test_a_broker_that_does_not_answer_yet_is_waited_for(
    rabbitmq: RabbitNode, proxy: TcpProxy, open_reader: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowspec")
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(1))
    proxy.down()
    reader = open_reader(through(proxy), queue)
    eventually(lambda: reader._health.retries >= 2, "it tries again")

    proxy.up()

    assert numbers(read(reader, 1)) == [0]
    goes_down_and_up_once(caplog)


def test_the_next_broker_is_tried(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(1))
    with TcpProxy("127.0.0.1", rabbitmq.port) as nowhere:
        nowhere.down()
        urls = [through(nowhere)["url"], rabbitmq.url]

        assert numbers(read(open_reader({"urls": urls}, queue), 1)) == [0]


def test_messages_come_through_tls(rabbitmq: RabbitNode, tls_port: int, certificates: Path, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    sent = [bytes([number % 256]) * number * 10 for number in range(2_000)]
    rabbitmq.publish(queue, *sent)
    account = {"url": RabbitNode.url_at(tls_port, "amqps"), "ca_file": str(certificates / "ca.pem")}
    reader = open_reader(account, queue)

    assert [record.raw for record in read(reader, len(sent))] == sent


def test_a_lost_connection_is_made_up_for(
    rabbitmq: RabbitNode, proxy: TcpProxy, open_reader: Open, quorum: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowspec")
    queue = rabbitmq.create_queue(quorum=quorum)
    send(rabbitmq, queue, range(20))
    reader = open_reader(through(proxy), queue, prefetch=10)
    read(reader, 4)
    commit_all(reader)
    wait_for_depth(rabbitmq, queue, 6, 10)
    read(reader, 2)
    old = reader.position()

    proxy.cut()
    goes_down_and_up_once(caplog)
    again = read(reader, 10)

    assert sorted(numbers(again)) == list(range(4, 14)), "what was not acknowledged comes again"
    assert all(record.meta["redelivered"] for record in again)
    reader.commit(old)
    commit_all(reader)
    wait_for_depth(rabbitmq, queue, 0, 6)
    assert len(changes(caplog)) == 2, "the old acknowledgement did no harm"


def test_a_connection_that_is_closed_by_the_broker_is_made_up_for(own_rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = own_rabbitmq.create_queue()
    send(own_rabbitmq, queue, range(5))
    reader = open_reader(own_rabbitmq.account, queue)
    read(reader, 5)

    assert own_rabbitmq.close_connections() == 1

    assert sorted(numbers(read(reader, 5))) == list(range(5))
    commit_all(reader)
    wait_for_depth(own_rabbitmq, queue, 0, 0)


def test_a_silent_broker_is_given_up(
    rabbitmq: RabbitNode, proxy: TcpProxy, open_reader: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowspec")
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(5))
    reader = open_reader(through(proxy, heartbeat=2, connect_timeout=2), queue)
    read(reader, 5)
    proxy.stall()
    commit_all(reader)
    eventually(lambda: reader._health.state == "down", "the silence is noticed")

    proxy.resume()

    eventually(lambda: reader._health.state == "up", "it is back")
    eventually(
        lambda: bool(reader.read(10, 0.05)) or rabbitmq.depth(queue) == (0, 0),
        "they come again, or the acknowledgement was on its way",
    )
    commit_all(reader)
    wait_for_depth(rabbitmq, queue, 0, 0)


def test_a_slow_flow_keeps_its_connection(
    rabbitmq: RabbitNode, open_reader: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowspec")
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(5))
    reader = open_reader({**rabbitmq.account, "heartbeat": 2}, queue)
    read(reader, 5)

    time.sleep(8)
    commit_all(reader)

    wait_for_depth(rabbitmq, queue, 0, 0)
    assert changes(caplog) == []


def test_a_broker_that_is_killed_is_waited_for(
    own_rabbitmq: RabbitNode, open_reader: Open, quorum: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowspec")
    queue = own_rabbitmq.create_queue(quorum=quorum)
    send(own_rabbitmq, queue, range(100))
    reader = open_reader(own_rabbitmq.account, queue, prefetch=20)
    read(reader, 10)
    commit_all(reader)
    wait_for_depth(own_rabbitmq, queue, 70, 20)

    own_rabbitmq.kill()
    eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
    own_rabbitmq.start()

    seen: set[int] = set()

    def goes_on() -> bool:
        seen.update(numbers(reader.read(20, 0.05)))
        commit_all(reader)
        return seen >= set(range(10, 100))

    eventually(goes_on, "all others come", lambda: len(seen))
    wait_for_depth(own_rabbitmq, queue, 0, 0)
    goes_down_and_up_once(caplog)


def test_the_brokers_own_limit_on_acknowledgements_is_survived(own_rabbitmq: RabbitNode, open_reader: Open) -> None:
    own_rabbitmq.evaluate("application:set_env(rabbit, consumer_timeout, 1000).")
    own_rabbitmq.evaluate("application:set_env(rabbit, channel_tick_interval, 500).")
    queue = own_rabbitmq.create_queue()
    send(own_rabbitmq, queue, range(1))
    reader = open_reader(own_rabbitmq.account, queue)
    read(reader, 1)

    eventually(lambda: reader._health.retries == 1, "the broker closes the channel")

    (again,) = read(reader, 1)
    assert again.meta["redelivered"]


def test_a_queue_that_is_declared_anew_is_consumed_again(
    rabbitmq: RabbitNode, open_reader: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowspec")
    queue = rabbitmq.create_queue()
    reader = open_reader(rabbitmq.account, queue)
    eventually(lambda: reader._health.state == "up", "it consumes")

    with rabbitmq.connect() as connection:
        connection.channel().queue_delete(queue)
        eventually(lambda: reader._health.state == "down", "the trigger says that it is down")
        assert "cancelled the consumer" in str(reader._health.reason) or "no queue" in str(reader._health.reason)
        connection.channel().queue_declare(queue, durable=True)

    send(rabbitmq, queue, range(2))
    assert numbers(read(reader, 2)) == [0, 1]
    goes_down_and_up_once(caplog)


def test_a_quorum_queue_counts_deliveries(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue(quorum=True)
    send(rabbitmq, queue, range(1))
    counts = []
    for _ in range(3):
        reader = open_reader(rabbitmq.account, queue)
        (record,) = read(reader, 1)
        counts.append((record.meta["delivery_count"], record.meta["redelivered"]))
        reader.close(10)

    assert counts == [(0, False), (1, True), (2, True)]


def test_readers_share_a_queue_and_tell_their_part_of_what_waits(
    rabbitmq: RabbitNode, open_reader: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.rabbitmq.session._LOOK_EVERY", 0.1)
    queue = rabbitmq.create_queue()
    send(rabbitmq, queue, range(25))
    readers = [open_reader(rabbitmq.account, queue, worker=worker, workers=2, prefetch=5) for worker in range(2)]

    eventually(lambda: [reader._health.lag for reader in readers] == [8, 7], "fifteen wait")

    seen = [number for reader in readers for number in numbers(read(reader, 5))]
    assert sorted(seen) == list(range(10))


def test_reading_ends_with_a_wait_for_nothing(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    reader = open_reader(rabbitmq.account, queue)
    eventually(lambda: reader._health.state == "up", "it consumes")
    threading.Timer(0.2, rabbitmq.publish, [queue, b"1"]).start()

    began = time.monotonic()
    records = reader.read(10, 30)

    assert numbers(records) == [1]
    assert time.monotonic() - began < 20, "what arrives ends the wait"
