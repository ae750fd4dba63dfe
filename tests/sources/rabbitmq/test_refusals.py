"""What a reader says when the broker will never let it consume, and what it declares."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pika import BasicProperties

from flowspec.errors import FatalError
from sources.rabbitmq import ConsumeQueue
from sources.rabbitmq.reader import QueueReader
from tests.pipelines.flows import eventually
from tests.secrets import leaks_in
from tests.servers.rabbitmq import PASSWORD, RabbitNode
from tests.sources.rabbitmq.conftest import Open, read


def refusal(reader: QueueReader) -> str:
    """The error with which reading fails."""
    with pytest.raises(FatalError) as caught:
        eventually(lambda: bool(reader.read(1, 0.05)), "reading fails")
    return str(caught.value)


def account_with(node: RabbitNode, **fields: Any) -> dict[str, Any]:
    return {**node.account, **fields}


def test_a_queue_that_does_not_exist(rabbitmq: RabbitNode, open_reader: Open) -> None:
    text = refusal(open_reader(rabbitmq.account, "orders-not"))

    assert "no queue 'orders-not' in vhost '/'" in text
    assert text.endswith("with 'declare' the flow creates its queue")
    assert leaks_in(text) == []


def test_a_wrong_password(rabbitmq: RabbitNode, open_reader: Open) -> None:
    account = account_with(rabbitmq, username="guest", password="wrong")

    text = refusal(open_reader(account, rabbitmq.create_queue()))

    assert "ACCESS_REFUSED" in text
    assert "check the account's username and password" in text
    assert "wrong" not in text


def test_a_virtual_host_that_does_not_exist(rabbitmq: RabbitNode, open_reader: Open) -> None:
    text = refusal(open_reader(account_with(rabbitmq, virtual_host="shop"), "orders"))

    assert "vhost shop not found" in text
    assert "check that the account's virtual_host exists" in text


def test_a_queue_that_others_may_not_read(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    rabbitmq.evaluate(f'rabbit_auth_backend_internal:add_user(<<"stranger">>, <<"{PASSWORD}">>, <<"test">>).')
    rabbitmq.evaluate(
        'rabbit_auth_backend_internal:set_permissions(<<"stranger">>, <<"/">>, <<"">>, <<"">>, <<"">>, <<"test">>).'
    )

    text = refusal(open_reader(account_with(rabbitmq, username="stranger", password=PASSWORD), queue))

    assert re.search("access to queue .* refused for user 'stranger'", text)


def test_a_queue_that_was_declared_otherwise(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue(arguments={"x-max-length": 10})

    text = refusal(open_reader(rabbitmq.account, queue, declare={"max_length": 20}))

    assert "inequivalent arg 'x-max-length'" in text
    assert text.endswith("see 'max_length' of 'declare'")


def test_an_exchange_that_does_not_exist(rabbitmq: RabbitNode, open_reader: Open) -> None:
    text = refusal(open_reader(rabbitmq.account, "orders-bound", declare={}, bindings=[{"exchange": "nowhere"}]))

    assert "no exchange 'nowhere'" in text


def test_a_queue_that_stays_away(rabbitmq: RabbitNode, open_reader: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.rabbitmq.reader._DECLARED_ANEW_WITHIN", 0.5)
    queue = rabbitmq.create_queue()
    reader = open_reader(rabbitmq.account, queue)
    eventually(lambda: reader._health.state == "up", "it consumes")

    with rabbitmq.connect() as connection:
        connection.channel().queue_delete(queue)

    assert f"no queue '{queue}'" in refusal(reader)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_is_declared_with_all_its_arguments(rabbitmq: RabbitNode, open_reader: Open, kind: str) -> None:
    queue = f"declared-{kind}"
    only = {"max_priority": 5} if kind == "classic" else {"delivery_limit": 3}
    other = {"x-queue-mode": "lazy"} if kind == "classic" else {"x-quorum-initial-group-size": 1}
    declare = {
        "type": kind,
        "dead_letter_exchange": "",
        "dead_letter_routing_key": "failed",
        "message_ttl": "1h",
        "expires": "2h",
        "max_length": 1000,
        "max_length_bytes": "1MB",
        "overflow": "reject-publish",
        "single_active_consumer": True,
        **only,
        "arguments": other,
    }
    for _ in range(2):
        reader = open_reader(rabbitmq.account, queue, declare=declare)
        eventually(lambda reader=reader: reader._health.state == "up", "it consumes")  # type: ignore[misc]
        reader.close(10)

    arguments = rabbitmq.evaluate(
        f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)), amqqueue:get_arguments(Q).'
    )
    for expected in (
        '{<<"x-dead-letter-exchange">>,longstr,<<>>}',
        '{<<"x-dead-letter-routing-key">>,longstr,<<"failed">>}',
        '{<<"x-message-ttl">>,signedint,3600000}',
        '{<<"x-expires">>,signedint,7200000}',
        '{<<"x-max-length">>,signedint,1000}',
        '{<<"x-max-length-bytes">>,signedint,1000000}',
        '{<<"x-overflow">>,longstr,<<"reject-publish">>}',
        '{<<"x-single-active-consumer">>,bool,true}',
        '{<<"x-max-priority">>,signedint,5}' if kind == "classic" else '{<<"x-delivery-limit">>,signedint,3}',
        '{<<"x-queue-mode">>' if kind == "classic" else '{<<"x-quorum-initial-group-size">>',
    ):
        assert expected in re.sub(r"\s", "", arguments)


def test_what_exchanges_route_comes_into_the_queue(rabbitmq: RabbitNode, open_reader: Open) -> None:
    reader = open_reader(
        rabbitmq.account,
        "bound",
        declare={"type": "classic"},
        bindings=[
            {"exchange": "shop", "exchange_type": "topic", "routing_key": "orders.#"},
            {"exchange": "by-country", "exchange_type": "headers", "arguments": {"x-match": "all", "country": "de"}},
        ],
    )
    eventually(lambda: reader._health.state == "up", "it consumes")
    with rabbitmq.connect() as connection:
        channel = connection.channel()
        channel.basic_publish("shop", "orders.paid", b"1")
        channel.basic_publish("shop", "refunds", b"2")
        channel.basic_publish("by-country", "", b"3", BasicProperties(headers={"country": "fr"}))
        channel.basic_publish("by-country", "", b"4", BasicProperties(headers={"country": "de"}))

    records = read(reader, 2)

    assert [(record.raw, record.meta["exchange"], record.key) for record in records] == [
        (b"1", "shop", "orders.paid"),
        (b"4", "by-country", ""),
    ]
    assert reader.read(10, 0.2) == []


def test_a_declared_queue_that_was_deleted_is_declared_again(rabbitmq: RabbitNode, open_reader: Open) -> None:
    reader = open_reader(rabbitmq.account, "comes-back", declare={"type": "quorum"})
    eventually(lambda: reader._health.state == "up", "it consumes")
    with rabbitmq.connect() as connection:
        connection.channel().queue_delete("comes-back")
        eventually(lambda: reader._health.retries == 1, "it is noticed")
    eventually(lambda: reader._health.state == "up", "it consumes again")

    rabbitmq.publish("comes-back", b"1")

    assert read(reader, 1)[0].raw == b"1"


def test_consumers_have_arguments(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    first = open_reader(rabbitmq.account, queue)
    second = open_reader(rabbitmq.account, queue, consumer_arguments={"x-priority": 10})
    for reader in (first, second):
        eventually(lambda reader=reader: reader._health.state == "up", "both consume")  # type: ignore[misc]

    rabbitmq.publish(queue, *(str(number).encode() for number in range(5)))

    assert len(read(second, 5)) == 5
    assert isinstance(second._trigger, ConsumeQueue)
