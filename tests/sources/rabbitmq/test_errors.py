"""What errors mean, asked of a real node, and of replies that no node gives on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.exceptions import (
    AMQPHeartbeatTimeout,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    IncompatibleProtocolError,
    ProbableAuthenticationError,
)

from flowspec.errors import FatalError, TransientError
from sources.rabbitmq.account import RabbitAccount, address_of
from sources.rabbitmq.errors import classify, reply_of
from tests.servers.process import server_port
from tests.servers.rabbitmq import RabbitNode
from tests.servers.tcp_proxy import TcpProxy


def connect(account: dict[str, Any]) -> pika.BlockingConnection:
    (parameters,) = RabbitAccount.model_validate(account).parameters("test")
    return pika.BlockingConnection(parameters)


def refused(account: dict[str, Any]) -> TransientError | FatalError:
    (parameters,) = RabbitAccount.model_validate(account).parameters("test")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is pika's business
        pika.BlockingConnection(parameters)
    return classify(caught.value, address_of(parameters))


def closed(node: RabbitNode, call: Callable[[Any], object]) -> TransientError | FatalError:
    with node.connect() as connection, pytest.raises(ChannelClosedByBroker) as caught:
        call(connection.channel())
    return classify(caught.value, "amqp://here/")


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"password": "wrong"}, FatalError, "403 ACCESS_REFUSED - Login was refused .* (check the account's username "),
        ({"virtual_host": "no-such"}, FatalError, "530 NOT_ALLOWED - vhost no-such not found (check that the account"),
    ],
)
def test_a_connection_that_the_broker_refuses(
    rabbitmq: RabbitNode, fields: dict[str, str], kind: type[Exception], message: str
) -> None:
    error = refused({**rabbitmq.account, **fields})
    assert type(error) is kind
    before, _, after = message.partition(".*")
    assert before in str(error)
    assert after in str(error)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_broker_that_is_not_there(host: str) -> None:
    error = refused({"url": f"amqp://{host}:{server_port()}/"})
    assert type(error) is TransientError
    assert "the connection is refused" in str(error)
    assert str(error).startswith(f"amqp://{host}:")


def test_a_host_that_nobody_knows() -> None:
    error = refused({"url": "amqp://no-such-host.invalid/"})
    assert type(error) is TransientError
    assert str(error).startswith("amqp://no-such-host.invalid:5672/: the name of the host is not known")


def test_a_broker_that_does_not_answer(rabbitmq: RabbitNode) -> None:
    with TcpProxy("127.0.0.1", rabbitmq.port) as proxy:
        proxy.stall()
        error = refused({"url": f"amqp://127.0.0.1:{proxy.port}", "connect_timeout": "2s"})
    assert type(error) is TransientError
    assert "no answer while the connection was opened" in str(error)


def test_a_port_without_tls(rabbitmq: RabbitNode) -> None:
    error = refused({"url": rabbitmq.url.replace("amqp://", "amqps://")})
    assert type(error) is TransientError
    assert "check that this is the broker's TLS port" in str(error)


def test_what_does_not_exist(rabbitmq: RabbitNode) -> None:
    error = closed(rabbitmq, lambda channel: channel.queue_declare("no-such", passive=True))
    assert type(error) is FatalError
    assert str(error) == (
        "amqp://here/: 404 NOT_FOUND - no queue 'no-such' in vhost '/' "
        "(create the queue or exchange, or check its name and the account's virtual_host)"
    )


def test_what_exists_otherwise(rabbitmq: RabbitNode) -> None:
    queue = rabbitmq.create_queue()
    error = closed(rabbitmq, lambda channel: channel.queue_declare(queue, durable=False))
    assert type(error) is FatalError
    assert "406 PRECONDITION_FAILED - inequivalent arg 'durable'" in str(error)


def test_a_queue_that_another_connection_has_for_itself(rabbitmq: RabbitNode) -> None:
    with rabbitmq.connect() as other:
        queue = other.channel().queue_declare("", exclusive=True).method.queue
        error = closed(rabbitmq, lambda channel: channel.queue_declare(queue, passive=True))
        assert "405 RESOURCE_LOCKED" in str(error)
        assert type(error) is TransientError

    queue = rabbitmq.create_queue()
    with rabbitmq.connect() as other:
        other.channel().basic_consume(queue, lambda *_: None, exclusive=True)
        error = closed(rabbitmq, lambda channel: channel.basic_consume(queue, lambda *_: None))
        assert "403 ACCESS_REFUSED" in str(error)
        assert type(error) is TransientError


def test_a_connection_that_an_operator_closes(own_rabbitmq: RabbitNode) -> None:
    connection = connect(own_rabbitmq.account)
    assert own_rabbitmq.close_connections() == 1
    with pytest.raises(ConnectionClosedByBroker) as caught:
        connection.process_data_events(30)
    assert type(classify(caught.value, "here")) is TransientError
    assert reply_of(caught.value) == (320, "CONNECTION_FORCED - closed by the test")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            ChannelClosedByBroker(406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. ..."),
            TransientError,
            "a record took longer than the broker's consumer_timeout",
        ),
        (ChannelClosedByBroker(406, "PRECONDITION_FAILED - unknown delivery tag 7"), TransientError, "tag 7"),
        (
            ChannelClosedByBroker(404, "NOT_FOUND - home node 'a@b' of durable queue 'q' in vhost '/' is down or ..."),
            TransientError,
            "home node",
        ),
        (ConnectionClosedByBroker(541, "INTERNAL_ERROR"), TransientError, "541 INTERNAL_ERROR"),
        (ProbableAuthenticationError("StreamLostError: ('EOF',)"), TransientError, "closed while it was opened"),
        (IncompatibleProtocolError("StreamLostError: ('EOF',)"), TransientError, "closed while it was opened"),
        (AMQPHeartbeatTimeout("No activity"), TransientError, "silent for longer than the heartbeat"),
        (ConnectionResetError(104, "reset"), TransientError, "reset"),
        (RuntimeError("a bug"), FatalError, "here: a bug"),
    ],
)
def test_what_no_node_says_on_demand(error: Exception, kind: type[Exception], message: str) -> None:
    meaning = classify(error, "here")
    assert type(meaning) is kind
    assert message in str(meaning)
