"""The sink by itself, against real nodes."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pika
import pytest
from pydantic import ValidationError

from flowspec.connectors import Writer
from flowspec.errors import FatalError, MissingDependencyError, RecordError, TransientError
from flowspec.records import Record
from sinks.rabbitmq import Publish
from sources.rabbitmq import RabbitAccount
from tests.pipelines.flows import eventually
from tests.servers.rabbitmq import PASSWORD, RabbitNode
from tests.servers.tcp_proxy import TcpProxy
from tests.sinks.ends import open_writer, records

PATIENT = 120.0


@contextmanager
def publisher(node: RabbitNode, /, **fields: Any) -> Iterator[Writer]:
    account = RabbitAccount.model_validate(fields.pop("account", node.account))
    writer = open_writer(Publish.model_validate({"account": account, **fields}))
    try:
        yield writer
    finally:
        writer.close()


def receive(node: RabbitNode, queue: str, count: int) -> list[Any]:
    """Take `count` messages as (method, properties, body), and see that there are no more."""
    with node.connect() as connection:
        channel = connection.channel()
        messages = list(iter(lambda: channel.basic_get(queue, auto_ack=True), (None, None, None)))
    assert len(messages) == count
    return messages


def bodies(node: RabbitNode, queue: str, count: int) -> list[Any]:
    return [json.loads(body) for _, _, body in receive(node, queue, count)]


def topology(node: RabbitNode, *routing_keys: str, kind: str = "topic") -> tuple[str, str]:
    """An exchange, and a queue that is bound to it."""
    queue = node.create_queue()
    exchange = f"exchange-of-{queue}"
    with node.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange, kind, auto_delete=True)
        for routing_key in routing_keys:
            channel.queue_bind(queue, exchange, routing_key)
    return exchange, queue


def failed(failures: Any, kind: type[Exception]) -> list[Any]:
    """The bodies of what failed, all with errors of one kind."""
    assert [type(failure.error) for failure in failures] == [kind] * len(failures)
    return [failure.record.body for failure in failures]


def write_until_delivered(writer: Writer, batch: list[Record]) -> int:
    """As a flow does it; answers how many writes it took."""
    left, until, writes = batch, time.monotonic() + PATIENT, 0
    while left:
        assert time.monotonic() < until, "not delivered"
        failures = writer.write(left)
        failed(failures, TransientError)
        left = [failure.record for failure in failures]
        writes += 1
    return writes


class TestWhatIsPublished:
    @pytest.mark.parametrize("quorum", [False, True], ids=["classic", "quorum"])
    def test_each_record_is_a_message_in_order(self, rabbitmq: RabbitNode, quorum: bool) -> None:
        queue = rabbitmq.create_queue(quorum=quorum)
        with publisher(rabbitmq, routing_key=queue) as writer:
            for start in range(0, 1500, 500):
                assert writer.write(records(*({"id": number} for number in range(start, start + 500)))) == []

        assert [json.loads(body)["id"] for body in rabbitmq.drain(queue)] == list(range(1500))

    def test_properties_and_headers_come_out_as_they_were_written(self, rabbitmq: RabbitNode) -> None:
        exchange, queue = topology(rabbitmq, "order.*")
        with publisher(
            rabbitmq,
            exchange="exchange-of-{queue}",
            routing_key="order.{status}",
            message_id="{id}-é",
            correlation_id="c{id}",
            type="order",
            app_id="shop",
            reply_to="{meta['answer_to']}",
            priority="{urgency}",
            expiration="1.5m",
            headers={"kind": "{status} order", "empty": "", "version": 2, "large": -(2**40), "test": True},
        ) as writer:
            record = Record("raw", {"queue": queue, "id": 7, "status": "paid", "urgency": 3}, meta={"answer_to": "me"})
            assert writer.write([record]) == []

        ((method, properties, body),) = receive(rabbitmq, queue, 1)
        assert (method.exchange, method.routing_key) == (exchange, "order.paid")
        assert json.loads(body) == record.body
        assert properties == pika.BasicProperties(
            content_type="application/json",
            headers={"kind": "paid order", "empty": "", "version": 2, "large": -(2**40), "test": True},
            delivery_mode=2,
            priority=3,
            correlation_id="c7",
            reply_to="me",
            expiration="90000",
            message_id="7-é",
            type="order",
            app_id="shop",
        )

    @pytest.mark.parametrize(
        ("external_id", "fields", "message_id"),
        [
            ("order-7", {}, "order-7"),
            (None, {}, None),
            ("é" * 127, {}, "é" * 127),
            ("é" * 128, {}, None),
            ("order-7", {"message_id": "{id}"}, "1"),
            ("order-7", {"message_id": ""}, None),
        ],
    )
    def test_the_external_id_is_the_message_id(
        self, rabbitmq: RabbitNode, external_id: str | None, fields: dict[str, Any], message_id: str | None
    ) -> None:
        queue = rabbitmq.create_queue()
        with publisher(rabbitmq, routing_key=queue, **fields) as writer:
            assert writer.write([Record("raw", {"id": 1}, external_id=external_id)]) == []
        ((_, properties, _),) = receive(rabbitmq, queue, 1)
        assert properties.message_id == message_id

    @pytest.mark.parametrize(
        ("fields", "body", "content_type", "payload"),
        [
            ({}, {"a": "é"}, "application/json", '{"a":"é"}'.encode()),
            ({"format": "text"}, "é", "text/plain", "é".encode()),
            ({"format": "bytes"}, b"\x00\xff", "application/octet-stream", b"\x00\xff"),
            ({"format": "bytes"}, b"", "application/octet-stream", b""),
            ({"format": "bytes"}, b"x" * 1_000_000, "application/octet-stream", b"x" * 1_000_000),
            ({"content_type": "application/{kind}"}, {"kind": "x"}, "application/x", b'{"kind":"x"}'),
            ({"content_type": ""}, 1, None, b"1"),
        ],
    )
    def test_the_content_type_follows_the_format(
        self, rabbitmq: RabbitNode, fields: dict[str, Any], body: Any, content_type: str | None, payload: bytes
    ) -> None:
        queue = rabbitmq.create_queue()
        with publisher(rabbitmq, routing_key=queue, **fields) as writer:
            assert writer.write(records(body)) == []
        ((_, properties, found),) = receive(rabbitmq, queue, 1)
        assert (properties.content_type, found) == (content_type, payload)

    def test_a_message_need_not_be_persistent(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue()
        with publisher(rabbitmq, routing_key=queue, persistent=False) as writer:
            assert writer.write(records(1)) == []
        ((_, properties, _),) = receive(rabbitmq, queue, 1)
        assert properties.delivery_mode is None

    def test_the_operator_sees_whose_connection_it_is(self, rabbitmq: RabbitNode) -> None:
        with publisher(rabbitmq, routing_key=rabbitmq.create_queue()) as writer:
            assert writer.write(records(1)) == []
            clients = (
                "[rabbit_networking:connection_info(C, [client_properties]) || C <- rabbit_networking:connections()]."
            )
            assert "test: publish, worker 0" in rabbitmq.evaluate(clients)


class TestWhatCannotBePublished:
    """Each is a failure of that record, and its neighbours are published."""

    @pytest.mark.parametrize(
        ("fields", "bad", "message"),
        [
            ({"headers": {"kind": "{kind}"}}, {"other": 1}, "missing field 'kind'"),
            ({"message_id": "{kind}"}, {"kind": "é" * 128}, "message_id has more than 255 bytes"),
            ({"priority": "{kind}"}, {"kind": "256"}, "priority is a whole number from 0 to 255, not '256'"),
            ({"priority": "{kind}"}, {"kind": "-1"}, "priority is a whole number from 0 to 255, not '-1'"),
            ({"priority": "{kind}"}, {"kind": "high"}, "priority is a whole number from 0 to 255, not 'high'"),
            ({"headers": {"kind": "{kind}"}}, {"kind": "x" * 200_000}, "headers and properties have more than 131,072"),
            ({"type": "{kind}", "format": "bytes"}, 5, "format 'bytes' needs bytes"),
        ],
    )
    def test_what_no_message_can_be(self, rabbitmq: RabbitNode, fields: dict[str, Any], bad: Any, message: str) -> None:
        queue = rabbitmq.create_queue()
        good: Any = b"good" if "format" in fields else {"kind": "5"}
        if "format" in fields:
            fields = {**fields, "type": "{body}"}
        batch = records(good, bad, good)
        with publisher(rabbitmq, routing_key=queue, **fields) as writer:
            (failure,) = writer.write(batch)

        assert failure.record is batch[1]
        assert isinstance(failure.error, RecordError)
        assert message in str(failure.error)
        receive(rabbitmq, queue, 2)

    def test_a_routing_key_that_is_too_long(self, rabbitmq: RabbitNode) -> None:
        exchange, queue = topology(rabbitmq, "#")
        with publisher(rabbitmq, exchange=exchange, routing_key="{text}") as writer:
            failures = writer.write(records(*({"text": text} for text in ("a", "x" * 256, "y" * 255, "é" * 128))))
        assert [len(body["text"]) for body in failed(failures, RecordError)] == [256, 128]
        assert [len(body["text"]) for body in bodies(rabbitmq, queue, 2)] == [1, 255]

    def test_lone_surrogates(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue()
        batch = [Record("raw", number, meta={"text": text}) for number, text in enumerate(["a", "\ud800", "b"])]
        for fields in ({"headers": {"h": "{meta['text']}"}}, {"message_id": "{meta['text']}"}):
            with publisher(rabbitmq, routing_key=queue, **fields) as writer:
                (failure,) = writer.write(batch)
            assert failure.record is batch[1]
            assert "cannot be a message: 'utf-8' codec can't encode" in str(failure.error)
        assert bodies(rabbitmq, queue, 4) == [0, 2, 0, 2]

    def test_unroutable_ones(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue()
        batch = records(
            *({"queue": queue if number % 3 else f"no-{number % 2}", "id": number} for number in range(300))
        )
        with publisher(rabbitmq, routing_key="{queue}", headers={"id": "{id}", "n": 5}) as writer:
            failures = writer.write(batch)

        assert [failure.record for failure in failures] == batch[::3]
        assert str(failures[0].error) == (
            "the default exchange has no queue for routing key 'no-0' (312 NO_ROUTE); declare or bind one, or set "
            "'mandatory' to false"
        )
        failed(failures, RecordError)
        assert [body["id"] for body in bodies(rabbitmq, queue, 200)] == [n for n in range(300) if n % 3]

    def test_unroutable_by_header_with_equal_payloads(self, rabbitmq: RabbitNode) -> None:
        """Nothing but a header tells them apart, and the broker says of none which one it was."""
        exchange, queue = topology(rabbitmq, kind="headers")
        with rabbitmq.connect() as connection:
            connection.channel().queue_bind(queue, exchange, "", {"wanted": "yes"})
        wanted = ["no", "yes", "yes", "no", "yes", "no"]
        batch = [Record("raw", "same", meta={"wanted": answer}) for answer in wanted]
        with publisher(rabbitmq, exchange=exchange, headers={"wanted": "{meta['wanted']}"}) as writer:
            failures = writer.write(batch)
        assert [failure.record for failure in failures] == [batch[0], batch[3], batch[5]]
        receive(rabbitmq, queue, 3)

    def test_unroutable_ones_are_dropped_where_the_spec_says_so(self, rabbitmq: RabbitNode) -> None:
        exchange, queue = topology(rabbitmq, "a")
        with publisher(rabbitmq, exchange=exchange, routing_key="{body}", mandatory=False) as writer:
            assert writer.write(records("a", "b", "a")) == []
        receive(rabbitmq, queue, 2)

    def test_an_exchange_of_the_record_that_does_not_exist(self, rabbitmq: RabbitNode) -> None:
        exchange, queue = topology(rabbitmq, "#")
        batch = records(*({"to": exchange if number % 25 else "no-such", "id": number} for number in range(100)))
        with publisher(rabbitmq, exchange="{to}", routing_key="a") as writer:
            failures = writer.write(batch)
            assert [failure.record for failure in failures] == batch[::25]
            failed(failures, RecordError)
            assert "404 NOT_FOUND - no exchange 'no-such'" in str(failures[0].error)
            assert writer.write(batch[1:3]) == [], "the next batch has a channel again"

        ids = [json.loads(body)["id"] for body in rabbitmq.drain(queue)]
        assert set(ids) == {number for number in range(100) if number % 25}

    def test_an_exchange_of_the_spec_that_does_not_exist_is_fatal(self, rabbitmq: RabbitNode) -> None:
        message = r"no exchange 'no-such' in vhost '/' \(create the queue or exchange"
        with publisher(rabbitmq, exchange="no-such") as writer, pytest.raises(FatalError, match=message):
            writer.write(records(1, 2))

    def test_a_message_that_is_too_large(self, own_rabbitmq: RabbitNode) -> None:
        own_rabbitmq.evaluate("application:set_env(rabbit, max_message_size, 100000).")
        queue = own_rabbitmq.create_queue()
        batch = records(*("x" * 200_000 if number in (3, 17) else str(number) for number in range(20)))
        with publisher(own_rabbitmq, routing_key=queue, format="text") as writer:
            failures = writer.write(batch)
        assert [failure.record for failure in failures] == [batch[3], batch[17]]
        failed(failures, RecordError)
        assert "message size 200000 is larger than configured max size 100000" in str(failures[0].error)
        assert {int(body) for body in own_rabbitmq.drain(queue)} == set(range(20)) - {3, 17}

    def test_an_exchange_that_the_user_may_not_write_to(self, rabbitmq: RabbitNode) -> None:
        user, queue = "reader", rabbitmq.create_queue()
        rabbitmq.evaluate(
            f'rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"{PASSWORD}">>, <<"test">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, <<"/">>, <<"">>, <<"amq.fanout">>, <<"">>, '
            '<<"test">>).'
        )
        account = {**rabbitmq.account, "username": user, "password": PASSWORD}
        message = r"403 ACCESS_REFUSED.*user's permissions"
        with (
            publisher(rabbitmq, account=account, routing_key=queue) as writer,
            pytest.raises(FatalError, match=message),
        ):
            writer.write(records(1))
        fields: dict[str, Any] = {"exchange": "{body}", "routing_key": "a", "mandatory": False}
        with publisher(rabbitmq, account=account, **fields) as writer:
            assert failed(writer.write(records("amq.fanout", "amq.topic")), RecordError) == ["amq.topic"]


class TestWhatPasses:
    """Each is a failure for now; what is written again arrives."""

    def test_a_full_queue_that_rejects(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue(arguments={"x-max-length": 3, "x-overflow": "reject-publish"})
        batch = records(*range(8))
        with publisher(rabbitmq, routing_key=queue) as writer:
            failures = writer.write(batch)
            taken = bodies(rabbitmq, queue, rabbitmq.depth(queue)[0])
            assert 3 <= len(taken) < 8
            assert taken + failed(failures, TransientError) == list(range(8))
            assert "the broker rejects the message; is a queue full?" in str(failures[0].error)

            more = writer.write([failure.record for failure in failures])
            assert bodies(rabbitmq, queue, rabbitmq.depth(queue)[0]) + failed(more, TransientError) == failed(
                failures, TransientError
            )

    def test_a_node_that_is_killed_and_started_again(self, own_rabbitmq: RabbitNode) -> None:
        queue = own_rabbitmq.create_queue()
        confirmed: set[int] = set()
        started = threading.Event()

        def kill_and_start() -> None:
            started.wait(PATIENT)
            own_rabbitmq.kill()
            own_rabbitmq.start()

        accident = threading.Thread(target=kill_and_start)
        accident.start()
        outages = 0
        with publisher(own_rabbitmq, routing_key=queue) as writer:
            for start in range(0, 20_000, 500):
                outages += write_until_delivered(writer, records(*range(start, start + 500))) > 1
                confirmed |= set(range(start, start + 500))
                if start == 5_000:
                    started.set()
        accident.join()
        assert outages == 1
        found = Counter(json.loads(body) for body in own_rabbitmq.drain(queue))
        assert set(found) == confirmed
        assert sum(found.values()) - len(found) <= 500, "no more than a batch is doubled"

    def test_connections_that_are_cut(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue()
        with TcpProxy("127.0.0.1", rabbitmq.port) as proxy:
            account = {"url": rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))}
            with publisher(rabbitmq, account=account, routing_key=queue) as writer:
                for start in range(0, 5_000, 500):
                    cutter = threading.Timer(0.01 * (start / 1000), proxy.cut)
                    cutter.start()
                    write_until_delivered(writer, records(*range(start, start + 500)))
                    cutter.join()

                proxy.down()
                assert failed(writer.write(records(-1)), TransientError) == [-1]
                proxy.up()
                write_until_delivered(writer, records(-1))
        assert {json.loads(body) for body in rabbitmq.drain(queue)} == set(range(-1, 5_000))

    def test_a_connection_that_is_cut_in_a_write(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue()
        with TcpProxy("127.0.0.1", rabbitmq.port) as proxy, ThreadPoolExecutor(1) as pool:
            account = {"url": rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))}
            with publisher(rabbitmq, account=account, routing_key=queue) as writer:
                assert writer.write(records(-1)) == []
                proxy.stall()
                batch = records(*range(500))
                writing = pool.submit(writer.write, batch)
                proxy.cut()
                proxy.resume()
                failures = writing.result()
                assert failed(failures, TransientError) == list(range(500))
                assert f"amqp://127.0.0.1:{proxy.port}/: Stream connection lost: " in str(failures[0].error)
                write_until_delivered(writer, [failure.record for failure in failures])
        assert {json.loads(body) for body in rabbitmq.drain(queue)} == set(range(-1, 500))

    def test_a_connection_that_is_closed_by_an_operator(self, own_rabbitmq: RabbitNode) -> None:
        queue = own_rabbitmq.create_queue()
        with publisher(own_rabbitmq, routing_key=queue) as writer:
            assert writer.write(records(1)) == []
            assert own_rabbitmq.close_connections() == 1
            write_until_delivered(writer, records(2))
        assert bodies(own_rabbitmq, queue, 2) == [1, 2]

    def test_a_broker_that_is_blocked_gets_nothing_twice(self, own_rabbitmq: RabbitNode) -> None:
        queue = own_rabbitmq.create_queue()
        batch = records(*range(100))
        with publisher(own_rabbitmq, routing_key=queue) as writer:
            assert writer.write(records(-1)) == []
            own_rabbitmq.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000}).")
            eventually(lambda: "memory" in own_rabbitmq.evaluate("rabbit_alarm:get_alarms()."), "there is an alarm")
            for _ in range(2):
                failures = writer.write(batch)
                assert failed(failures, TransientError) == list(range(100))
                assert "the broker takes no messages: low on memory; messages that wait for their confirm: 100" in str(
                    failures[0].error
                )
            own_rabbitmq.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 2000000000}).")
            write_until_delivered(writer, batch)
        assert bodies(own_rabbitmq, queue, 101) == list(range(-1, 100))

    def test_a_blocked_writer_closes_in_time(self, own_rabbitmq: RabbitNode) -> None:
        with publisher(own_rabbitmq, routing_key=own_rabbitmq.create_queue()) as writer:
            own_rabbitmq.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000}).")
            eventually(lambda: "memory" in own_rabbitmq.evaluate("rabbit_alarm:get_alarms()."), "there is an alarm")
            assert failed(writer.write(records(1)), TransientError) == [1]
            started = time.monotonic()
            writer.close()
            assert time.monotonic() - started < PATIENT / 2

    def test_a_broker_that_says_nothing_gets_nothing_twice(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue()
        with TcpProxy("127.0.0.1", rabbitmq.port) as proxy:
            account = {"url": rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port))}
            with publisher(rabbitmq, account=account, routing_key=queue) as writer:
                assert writer.write(records(1)) == []
                proxy.stall()
                failures = writer.write(records(2))
                assert failed(failures, TransientError) == [2]
                assert "nothing is confirmed; messages that wait for their confirm: 1" in str(failures[0].error)
                proxy.resume()
                write_until_delivered(writer, [failures[0].record])
        assert bodies(rabbitmq, queue, 2) == [1, 2]

    def test_the_next_url_is_tried(self, rabbitmq: RabbitNode) -> None:
        queue = rabbitmq.create_queue()
        with TcpProxy("127.0.0.1", rabbitmq.port) as first, TcpProxy("127.0.0.1", rabbitmq.port) as second:
            urls = [rabbitmq.url.replace(str(rabbitmq.port), str(proxy.port)) for proxy in (first, second)]
            with publisher(rabbitmq, account={"urls": urls}, routing_key=queue) as writer:
                assert writer.write(records(1)) == []
                first.down()
                write_until_delivered(writer, records(2))
                second.down()
                writer.write(records(3))  # Whether it knows already that the connection is gone does not matter here.
                (failure,) = writer.write(records(3))
                assert f":{first.port}/: " in str(failure.error)
                assert f"; amqp://127.0.0.1:{second.port}/: " in str(failure.error)
                first.up()
                write_until_delivered(writer, [failure.record])
        assert bodies(rabbitmq, queue, 3) == [1, 2, 3]

    def test_heartbeats_keep_an_idle_connection(self, own_rabbitmq: RabbitNode) -> None:
        """For as long as it takes the broker to give up a silent client several times."""
        received = (
            "[Client] = rabbit_networking:connections(), "
            "[{recv_cnt, Count}] = rabbit_networking:connection_info(Client, [recv_cnt]), Count."
        )
        account = {**own_rabbitmq.account, "heartbeat": 1}
        with publisher(own_rabbitmq, account=account, routing_key=own_rabbitmq.create_queue()) as writer:
            assert writer.write(records(1)) == []
            client = own_rabbitmq.evaluate("rabbit_networking:connections().")
            before = int(own_rabbitmq.evaluate(received))
            eventually(lambda: int(own_rabbitmq.evaluate(received)) >= before + 8, "the broker got heartbeats")
            assert own_rabbitmq.evaluate("rabbit_networking:connections().") == client
            assert writer.write(records(2)) == []
            assert own_rabbitmq.evaluate("rabbit_networking:connections().") == client

    def test_a_node_that_is_not_there_yet(self, own_rabbitmq: RabbitNode) -> None:
        queue = own_rabbitmq.create_queue()
        own_rabbitmq.kill()
        with publisher(own_rabbitmq, routing_key=queue) as writer:
            assert failed(writer.write(records(1)), TransientError) == [1]
            own_rabbitmq.start()
            write_until_delivered(writer, records(1))
        assert bodies(own_rabbitmq, queue, 1) == [1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give 'routing_key', the name of a queue, or 'exchange'"),
        ({"routing_key": "a", "headers": {"": "x"}}, "'' is no name of a header"),
        ({"routing_key": "a", "headers": {"é" * 128: "x"}}, "is no name of a header: it has 1 to 255 bytes"),
        ({"routing_key": "a", "headers": {"CC": "x"}}, "'CC' would be a list of routing keys"),
        ({"routing_key": "a", "headers": {"n": 2**63}}, "less than"),
        ({"routing_key": "a", "headers": {"n": 1.5}}, "headers"),
        ({"routing_key": "a", "priority": 256}, "less than or equal to 255"),
        ({"routing_key": "a", "expiration": "50d"}, "less than"),
        ({"routing_key": "{a"}, "a brace is not closed"),
    ],
)
def test_fields_that_no_message_can_have_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Publish.model_validate(fields)


def test_a_certificate_that_cannot_be_used_is_said_before_the_first_batch() -> None:
    account = RabbitAccount.model_validate({"url": "amqps://127.0.0.1:1/", "ca_file": "/no/such/file"})
    with pytest.raises(FatalError, match="ca_file /no/such/file cannot be used: "):
        open_writer(Publish.model_validate({"account": account, "routing_key": "a"}))


def test_without_pika_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "pika" or name.startswith(("pika.", "sinks.rabbitmq."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pika", None)
    with pytest.raises(MissingDependencyError, match=r"trigger-flows\[rabbitmq\]"):
        open_writer(Publish.model_validate({"routing_key": "a"}))
