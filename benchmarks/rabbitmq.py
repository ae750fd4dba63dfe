"""The RabbitMQ flow beside a bare pika loop, on the same node."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson
import pika

from benchmarks.clock import Clock, CountedAction
from benchmarks.engine import run
from benchmarks.measure import Contestant, Result, interleaved, note, show
from benchmarks.work import orders, steps
from flowspec.delivery.run import FlowRun
from flowspec.expressions import Expression
from flowspec.spec import FlowSpec
from sinks.drop import Drop
from sinks.rabbitmq import Publish
from sources.rabbitmq import ConsumeQueue, RabbitAccount

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from flowspec.connectors import Action
    from tests.servers.rabbitmq import RabbitNode

__all__ = ["filled", "main"]

_MESSAGES = 40_000
_WANTED = _MESSAGES * 3 // 4
_BATCH = 500
_PREFETCH = 2 * _BATCH
_ROUNDS = 5
_PERSISTENT = pika.BasicProperties(delivery_mode=2)
_TRANSIENT = pika.BasicProperties(delivery_mode=1)
_numbers = itertools.count()


def filled(node: RabbitNode, payloads: list[bytes], *, quorum: bool) -> str:
    """A queue with these messages in it."""
    queue = node.create_queue(quorum=quorum)
    connection = node.connect()
    channel = connection.channel()
    for payload in payloads:
        channel.basic_publish("", queue, payload, _PERSISTENT if quorum else _TRANSIENT)
    while node.depth(queue)[0] < len(payloads):
        connection.process_data_events(0.1)
    connection.close()
    return queue


def _bare(node: RabbitNode, queue: str, total: int, handle: Callable[[BlockingChannel, bytes], int]) -> Result:
    clock = Clock(total, _MESSAGES)
    connection = node.connect()
    channel = connection.channel()
    channel.basic_qos(prefetch_count=_PREFETCH)
    done = 0
    for number, (method, _, body) in enumerate(channel.consume(queue), 1):
        done += handle(channel, body)
        if number % _BATCH == 0:
            assert method is not None
            assert method.delivery_tag is not None
            channel.basic_ack(method.delivery_tag, multiple=True)
            clock.count(done)
            done = 0
        if number == _MESSAGES:
            break
    channel.cancel()
    connection.close()
    return clock.result()


def _encoded(body: bytes) -> bytes | None:
    order = orjson.loads(body)
    if order["status"] == "paid" and order["total"] > 100:
        return orjson.dumps(
            {
                "id": order["order_id"],
                "cents": int(order["total"] * 100),
                "customer": order["customer"]["email"].lower(),
            }
        )
    return None


def _publishing(target: str) -> Callable[[BlockingChannel, bytes], int]:
    def handle(channel: BlockingChannel, body: bytes) -> int:
        payload = _encoded(body)
        if payload is None:
            return 0
        channel.basic_publish("", target, payload, _PERSISTENT)
        return 1

    return handle


def _flow(node: RabbitNode, queue: str, total: int, sink: Action, directory: Path, **fields: Any) -> Result:
    clock = Clock(total, _MESSAGES)
    spec = FlowSpec(
        name=f"benchmark-{next(_numbers)}",
        trigger=ConsumeQueue(
            account=RabbitAccount(**node.account), queue=queue, batch_size=_BATCH, prefetch=_PREFETCH, **fields
        ),
        steps=steps() if total == _WANTED else [],
        sinks=[CountedAction(sink=sink, clock=clock)],
    )
    run(spec, FlowRun(spec.name, directory, limit=_MESSAGES))
    return clock.result()


def main(node: RabbitNode) -> None:
    """Measure, and print the tables."""
    small, large = [b"x" * 100] * _MESSAGES, orders(_MESSAGES)
    target = node.create_queue(arguments={"x-max-length": 10_000})
    account = RabbitAccount(**node.account)
    with TemporaryDirectory() as name:
        directory = Path(name)
        for kind, quorum in (("classic", False), ("quorum", True)):
            _table(
                f"RabbitMQ: consume, drop ({kind} queue)",
                {
                    "bare pika loop": lambda quorum=quorum: _bare(  # type: ignore[misc]
                        node, filled(node, small, quorum=quorum), _MESSAGES, lambda *_: 1
                    ),
                    "flow": lambda quorum=quorum: _flow(  # type: ignore[misc]
                        node, filled(node, small, quorum=quorum), _MESSAGES, Drop(), directory, format="bytes"
                    ),
                },
            )
        _table(
            "RabbitMQ: consume, filter, map, publish (classic queues)",
            {
                "bare pika loop, unconfirmed": lambda: _bare(
                    node, filled(node, large, quorum=False), _WANTED, _publishing(target)
                ),
                "flow": lambda: _flow(
                    node,
                    filled(node, large, quorum=False),
                    _WANTED,
                    Publish(account=account, routing_key=target),
                    directory,
                    external_id=Expression("order_id"),
                ),
            },
        )
    note(
        f"RabbitMQ on the same machine, {_MESSAGES:,} messages of 100 bytes (orders of {len(large[0])} bytes where "
        f"they are published), prefetch {_PREFETCH}, one acknowledgement for {_BATCH}, medians of {_ROUNDS} "
        "interleaved runs. The flow's sink waits for the confirms of each batch, the bare loop publishes without."
    )


def _table(title: str, contestants: Mapping[str, Contestant]) -> None:
    results = interleaved(contestants, _ROUNDS)
    floor = next(iter(results.values()))
    show(
        title,
        ["", "messages/s", "rate, ratio to bare", "CPU us/message"],
        (
            [name, f"{result.rate:,.0f}", f"{result.rate / floor.rate:.2f}", f"{result.cpu:.1f}"]
            for name, result in results.items()
        ),
    )
