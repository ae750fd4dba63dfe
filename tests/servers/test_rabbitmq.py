"""A RabbitMQ node that can be killed, and keeps what it has."""

from __future__ import annotations

from typing import Any

import pytest
from pika.exceptions import ConnectionClosedByBroker

from tests.pipelines.flows import eventually
from tests.servers.process import listens
from tests.servers.rabbitmq import RabbitNode

CLASSIC: dict[str, Any] = {}
QUORUM: dict[str, Any] = {"quorum": True}
BOTH = pytest.mark.parametrize("kind", [CLASSIC, QUORUM], ids=["classic", "quorum"])


@BOTH
def test_it_counts_what_is_ready_and_what_is_unacknowledged(rabbitmq: RabbitNode, kind: dict[str, Any]) -> None:
    queue = rabbitmq.create_queue(**kind)
    bodies = [b"%d" % number for number in range(1200)]

    rabbitmq.publish(queue, *bodies)

    assert rabbitmq.depth(queue) == (1200, 0)
    with rabbitmq.connect() as connection:
        connection.channel().basic_get(queue)
        assert rabbitmq.depth(queue) == (1199, 1)
    eventually(lambda: rabbitmq.depth(queue) == (1200, 0), "it is given back")
    assert rabbitmq.drain(queue) == bodies
    assert rabbitmq.depth(queue) == (0, 0)
    assert rabbitmq.drain(queue) == []


def test_what_nobody_gets_is_an_error(rabbitmq: RabbitNode) -> None:
    with pytest.raises(AssertionError, match="no queue unknown"):
        rabbitmq.publish("unknown", b"lost")


def test_it_closes_the_connections_of_its_clients(own_rabbitmq: RabbitNode) -> None:
    assert own_rabbitmq.close_connections() == 0

    connection = own_rabbitmq.connect()

    assert own_rabbitmq.close_connections() == 1
    with pytest.raises(ConnectionClosedByBroker, match="closed by the test"):
        connection.process_data_events(60)


def test_killed_and_started_again_it_has_all(own_rabbitmq: RabbitNode) -> None:
    queues = [own_rabbitmq.create_queue(**kind) for kind in (CLASSIC, QUORUM)]
    bodies = [b"%d" % number for number in range(500)]
    for queue in queues:
        own_rabbitmq.publish(queue, *bodies)

    own_rabbitmq.kill()

    assert not listens(own_rabbitmq.port)
    own_rabbitmq.start()
    assert [own_rabbitmq.depth(queue) for queue in queues] == [(500, 0), (500, 0)]
    assert [own_rabbitmq.drain(queue) for queue in queues] == [bodies, bodies]


def test_it_evaluates_expressions(rabbitmq: RabbitNode) -> None:
    assert rabbitmq.evaluate('{1 + 1, <<"a">>}.') == '{2,<<"a">>}'
    with pytest.raises(AssertionError, match="badarith"):
        rabbitmq.evaluate("1 / 0.")
    with pytest.raises(AssertionError, match="not_found"):
        rabbitmq.depth("unknown")
