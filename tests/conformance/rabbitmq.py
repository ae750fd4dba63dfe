"""What the suite must know of RabbitMQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sinks.testing import Received, SinkHarness
from sources.testing import TriggerHarness
from tests.conformance.proxied import Proxied
from tests.servers.rabbitmq import RabbitNode
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["ClassicQueue", "ClassicQueueSink", "QuorumQueue", "QuorumQueueSink"]

_HEARTBEAT = 2
"""Seconds."""


class _Queue(Proxied):
    """A durable queue, and a proxy before its node."""

    quorum = False

    def __init__(self, node: RabbitNode) -> None:
        self._node = node
        self._queue = node.create_queue(quorum=self.quorum)
        self._proxy = TcpProxy("127.0.0.1", node.port)
        self._proxy.__enter__()

    def close(self) -> None:
        self._proxy.__exit__(None, None, None)
        with self._node.connect() as connection:
            connection.channel().queue_delete(self._queue)

    def _account(self, *, proxied: bool = False) -> dict[str, Any]:
        url = self._node.url_at(self._proxy.port) if proxied else self._node.url
        return {"url": url, "heartbeat": _HEARTBEAT}


class ClassicQueue(_Queue, TriggerHarness):
    """A queue of the usual kind; its client is pika's blocking connection."""

    flood = (1_000, 100_000)
    keys = ("the queue",)
    """All that a queue has is in one order."""
    shared = True
    ack_timeout = 2.0 * _HEARTBEAT
    """A client that misses two heartbeats is cut off."""

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "rabbitmq",
            "event": "consume-queue",
            "account": self._account(),
            "queue": self._queue,
            **fields,
        }

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self.trigger(account=self._account(proxied=True), **fields)

    def missing(self) -> dict[str, Any]:
        return self.trigger(queue=f"{self._queue}-missing")

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._node.publish(self._queue, *payloads, headers=dict(headers or {}))

    def left(self) -> int:
        return sum(self._node.depth(self._queue))


class QuorumQueue(ClassicQueue):
    """A queue of the replicated kind."""

    quorum = True


class ClassicQueueSink(_Queue, SinkHarness):
    """A queue that messages are got from, by pika's blocking connection."""

    headers_field = "headers"
    ordered: ClassVar[dict[str, Any]] = {}

    def __init__(self, node: RabbitNode) -> None:
        super().__init__(node)
        self._received: list[Received] = []

    def action(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "rabbitmq",
            "action": "publish",
            "account": self._account(),
            "routing_key": self._queue,
            **fields,
        }

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self.action(account=self._account(proxied=True), **fields)

    def missing(self) -> dict[str, Any]:
        return self.action(routing_key=f"{self._queue}-missing")

    def received(self) -> list[Received]:
        with self._node.connect() as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(self._queue, auto_ack=True)
                if method is None:
                    return self._received
                assert properties is not None
                self._received.append(Received(body or b"", properties.headers or {}))


class QuorumQueueSink(ClassicQueueSink):
    """A queue of the replicated kind."""

    quorum = True
