"""What a check says of a real node, and exactly what is wrong."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from flowspec.errors import FatalError, FlowError, TransientError
from sinks.rabbitmq import Publish
from sources.rabbitmq import ConsumeQueue, RabbitAccount
from tests.servers.process import server_port
from tests.servers.rabbitmq import PASSWORD, RabbitNode


def trigger(account: dict[str, Any], queue: str, **fields: Any) -> ConsumeQueue:
    return ConsumeQueue(account=RabbitAccount(**account), queue=queue, **fields)


def sink(account: dict[str, Any], **fields: Any) -> Publish:
    return Publish(account=RabbitAccount(**account), **fields)


def problem(checked: RabbitAccount | ConsumeQueue | Publish, kind: type[FlowError] = FatalError) -> str:
    with pytest.raises(kind) as raised:
        checked.check()
    assert isinstance(raised.value, FlowError)
    return str(raised.value)


@pytest.fixture(scope="module")
def stranger(rabbitmq: RabbitNode) -> dict[str, Any]:
    """An account that may open the virtual host, and nothing else."""
    rabbitmq.evaluate(f'rabbit_auth_backend_internal:add_user(<<"guarded">>, <<"{PASSWORD}">>, <<"test">>).')
    rabbitmq.evaluate(
        'rabbit_auth_backend_internal:set_permissions(<<"guarded">>, <<"/">>, <<"">>, <<"">>, <<"">>, <<"test">>).'
    )
    return {**rabbitmq.account, "username": "guarded", "password": PASSWORD}


def test_the_broker_is_named(rabbitmq: RabbitNode, tls_port: int, certificates: Path) -> None:
    said = RabbitAccount(**rabbitmq.account).check()
    assert said.startswith("RabbitMQ 3.")
    assert said.endswith(f" at 127.0.0.1:{rabbitmq.port}, vhost '/'")

    several = RabbitAccount.model_validate({"urls": [f"amqp://127.0.0.1:{server_port()}", rabbitmq.url]})
    assert f"127.0.0.1:{rabbitmq.port}" in several.check()

    tls = {"url": RabbitNode.url_at(tls_port, "amqps"), "ca_file": str(certificates / "ca.pem")}
    assert f"127.0.0.1:{tls_port} with TLS" in RabbitAccount.model_validate(tls).check()


def test_a_broker_that_is_not_reached() -> None:
    def at(address: str) -> str:
        return problem(RabbitAccount.model_validate({"url": f"amqp://me:s3cr3t@{address}"}), TransientError)

    assert "the connection is refused" in at(f"127.0.0.1:{server_port()}")
    assert "the name of the host is not known" in at("no-such-host.invalid")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = at(f"127.0.0.1:{silent.getsockname()[1]}")
    assert "no answer" in said
    assert "s3cr3t" not in said


def test_tls_that_does_not_fit(rabbitmq: RabbitNode, tls_port: int, strict_port: int, certificates: Path) -> None:
    def at(url: str, kind: type[FlowError], **fields: Any) -> str:
        return problem(RabbitAccount.model_validate({"url": url, **fields}), kind)

    trusting = {"ca_file": str(certificates / "ca.pem")}
    assert "the port is one for TLS" in at(f"amqp://127.0.0.1:{tls_port}", FatalError)
    assert "does not speak TLS" in at(f"amqps://127.0.0.1:{rabbitmq.port}", TransientError)
    assert "certificate is not trusted" in at(f"amqps://127.0.0.1:{tls_port}", FatalError)
    assert "wants certificate_file" in at(f"amqps://127.0.0.1:{strict_port}", TransientError, **trusting)


def test_who_may_not_come_in(rabbitmq: RabbitNode) -> None:
    wrong = problem(RabbitAccount(**{**rabbitmq.account, "username": "guest", "password": "wr0ng"}))
    assert "check the account's username and password" in wrong
    assert "wr0ng" not in wrong
    assert "vhost shop not found" in problem(RabbitAccount(**{**rabbitmq.account, "virtual_host": "shop"}))

    rabbitmq.evaluate(f'rabbit_auth_backend_internal:add_user(<<"outsider">>, <<"{PASSWORD}">>, <<"test">>).')
    outsider = RabbitAccount(**{**rabbitmq.account, "username": "outsider", "password": PASSWORD})
    assert "no permission on the account's virtual_host" in problem(outsider)


@pytest.mark.parametrize("quorum", [False, True], ids=["classic", "quorum"])
def test_a_queue(rabbitmq: RabbitNode, stranger: dict[str, Any], *, quorum: bool) -> None:
    queue = rabbitmq.create_queue(quorum=quorum)
    rabbitmq.publish(queue, b"1", b"2")
    kind = "quorum" if quorum else "classic"

    for declare in (None, {"type": kind}):
        assert (
            f"queue '{queue}': 2 messages wait, 0 consumers"
            in trigger(rabbitmq.account, queue, declare=declare).check()
        )
    other = problem(trigger(rabbitmq.account, queue, declare={"type": kind, "max_length": 20}))
    assert other.endswith("see 'max_length' of 'declare'")
    assert "read to consume" in problem(trigger(stranger, queue))
    assert rabbitmq.depth(queue) == (2, 0), "nothing was taken"


def test_a_queue_that_does_not_exist_is_not_made(rabbitmq: RabbitNode) -> None:
    assert "no queue 'orders-missing'" in problem(trigger(rabbitmq.account, "orders-missing"))
    said = trigger(rabbitmq.account, "orders-missing", declare={}).check()
    assert said.endswith("the flow creates queue 'orders-missing'; not checked: whether it may")
    assert "no queue 'orders-missing'" in problem(trigger(rabbitmq.account, "orders-missing"))
    bound = trigger(rabbitmq.account, "orders-missing", declare={}, bindings=[{"exchange": "nowhere"}])
    assert "no exchange 'nowhere'" in problem(bound)


def test_a_sink(rabbitmq: RabbitNode, stranger: dict[str, Any]) -> None:
    queue = rabbitmq.create_queue()

    assert f"queue '{queue}': 0 messages wait" in sink(rabbitmq.account, routing_key=queue).check()
    assert "no queue 'orders-missing'" in problem(sink(rabbitmq.account, routing_key="orders-missing"))
    assert "write to publish" in problem(sink(stranger, routing_key=queue))
    said = sink(rabbitmq.account, exchange="amq.topic", routing_key="{id}").check()
    assert said.endswith("exchange 'amq.topic'; not checked: that a queue is bound to it")
    assert "no exchange 'nowhere'" in problem(sink(rabbitmq.account, exchange="nowhere", routing_key="a"))
    assert "write to publish" in problem(sink(stranger, exchange="amq.topic", routing_key="a"))
    for fields, unknown in (
        ({"exchange": "{country}"}, "the exchange, which differs by record"),
        ({"routing_key": "{country}"}, "the queue, which differs by record"),
    ):
        assert sink(rabbitmq.account, **fields).check().endswith(f"not checked: {unknown}")
    assert rabbitmq.depth(queue) == (0, 0), "nothing was published"
