"""Looking at a broker and its queues, and leaving all as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.exceptions import ChannelClosedByClient

from flowspec.errors import FatalError, FlowError, TransientError
from sources.rabbitmq.conversation import Conversation
from sources.rabbitmq.errors import HUNG_UP, reply_of
from sources.rabbitmq.session import declare_queue
from sources.tls_probe import speaks_tls

if TYPE_CHECKING:
    from sources.rabbitmq.account import RabbitAccount
    from sources.rabbitmq.deliveries import Delivery
    from sources.rabbitmq.topology import Declaration

__all__ = ["Look", "looking"]

_WITHIN = 9.0
"""Seconds for everything that is asked."""
_GOOD_BYE = 1.0
_AT_ONCE = 100
"""Messages that are asked for before the first comes: a message is held for as short as may be."""
_AGAIN_AFTER = 0.1
_QUIET = 0.2
"""Seconds without a message after which a quorum queue has no more."""
_LEFT_WITHIN = 0.1
"""Seconds in which a queue has what a channel that is closed had."""
_COUNTED = b"x-delivery-count"
"""A header that all messages of quorum queues have before RabbitMQ 4, which gives each such queue a delivery limit."""
_MOST_PREFETCH = 65_535
_PRECONDITION_FAILED = 406


@contextmanager
def looking(account: RabbitAccount, seconds: float = _WITHIN) -> Iterator[Look]:
    """A look at the first broker that answers, for some seconds.

    Raises:
        TransientError: none can be reached at present.
        FatalError: a broker refuses us, and will do so again.
    """
    several = account.parameters("trigger-flows: check")
    loop = IOLoop()
    look: Look | None = None
    try:
        look = _first(several, loop, seconds)
        yield look
    finally:
        if look is not None:
            look.close(_GOOD_BYE)
        loop.close()


def _first(several: list[pika.ConnectionParameters], loop: IOLoop, seconds: float) -> Look:
    unreachable = []
    for parameters in several:
        patience = _WITHIN / len(several)
        parameters.socket_timeout = min(parameters.socket_timeout or patience, patience / 2)
        parameters.stack_timeout = patience
        look = Look(parameters, loop, seconds)
        try:
            look.open()
        except FlowError as error:
            look.close(_GOOD_BYE)
            if not isinstance(error, TransientError):
                raise
            unreachable.append(str(error))
        else:
            return look
    raise TransientError("; ".join(unreachable))


class Look(Conversation):
    """A conversation of which nothing stays."""

    def __init__(self, parameters: pika.ConnectionParameters, loop: IOLoop, seconds: float) -> None:
        self._gotten: list[Delivery] = []
        self._empty = 0
        self._parameters = parameters
        super().__init__(parameters, loop, self._receive)
        slow = TransientError(f"{self._at}: no answer for {seconds:.0f} s")
        self._impatience = loop.call_later(seconds, lambda: self._end_with(slow))

    def open(self) -> None:
        """Connect.

        Raises:
            TransientError: the broker cannot be reached, or cannot do it now.
            FatalError: it refuses us, and will do so again.
        """
        channel = self._connect()
        channel.add_callback(self._nothing_there, [pika.spec.Basic.GetEmpty], one_shot=False)

    def close(self, timeout: float) -> None:
        """End it; what was gotten is in its queue again."""
        self._loop.remove_timeout(self._impatience)
        super().close(timeout)

    @property
    def broker(self) -> str:
        """What answers, and where."""
        properties = self._connection.server_properties or {}
        host = f"[{self._parameters.host}]" if ":" in self._parameters.host else self._parameters.host
        tls = " with TLS" if self._parameters.ssl_options else ""
        return (
            f"{properties.get('product', 'a broker')} {properties.get('version', '')} at {host}:{self._parameters.port}"
            f"{tls}, vhost {self._parameters.virtual_host!r}"
        )

    @property
    def knows_rights(self) -> bool:
        """Whether `may_read` and `may_write` can tell: they rest on the order in which RabbitMQ looks at a request."""
        return (self._connection.server_properties or {}).get("product") == "RabbitMQ"

    def queue(self, name: str) -> tuple[int, int]:
        """How many messages wait in a queue, and how many consumers it has.

        Raises:
            FatalError: there is no such queue.
        """
        frame = self._call(lambda done: self._open_channel.queue_declare(name, passive=True, callback=done))
        return frame.method.message_count, frame.method.consumer_count

    def exchange(self, name: str) -> None:
        """See that an exchange is there.

        Raises:
            FatalError: it is not.
        """
        self._call(lambda done: self._open_channel.exchange_declare(name, passive=True, callback=done))

    def same(self, queue: str, declare: Declaration) -> None:
        """See that a queue which is there is what a flow declares.

        Raises:
            FatalError: it is not, or the user may not declare it.
        """
        self._call(lambda done: declare_queue(self._open_channel, queue, declare, done))

    def may_read(self, queue: str) -> None:
        """See that the user may consume a queue; the last thing that is asked.

        Who may is told that the request makes no sense, who may not is told that: nothing is consumed.

        Raises:
            FatalError: the user may not.
        """
        nonsense = {"x-priority": "none"}
        self._expect_refusal(
            lambda done: self._open_channel.basic_consume(queue, lambda *_: None, arguments=nonsense, callback=done)
        )

    def may_write(self, exchange: str, routing_key: str) -> None:
        """See that the user may publish to an exchange; the last thing that is asked.

        Who may is told that the message makes no sense, who may not is told that: nothing is published.

        Raises:
            FatalError: the user may not, or there is no such exchange.
        """
        nonsense = pika.BasicProperties(expiration="never")

        def publish(done: Callable[..., None]) -> None:
            self._open_channel.basic_publish(exchange, routing_key, b"", nonsense)
            self._open_channel.basic_qos(prefetch_count=1, callback=done)

        self._expect_refusal(publish)

    def get(self, queue: str, most: int, wait: float) -> list[Delivery]:
        """Messages from the head of a queue, at most `most`; waits `wait` seconds at most for the first.

        They are out of it until `give_back`, or the end.
        """
        until = time.monotonic() + wait
        while not self._get(queue, 1) and time.monotonic() < until:
            self._pause(min(_AGAIN_AFTER, until - time.monotonic()))
        if self._gotten and self._is_quorum:
            self._consume(queue, most - 1)
            return self._gotten
        while self._gotten and len(self._gotten) < most:
            asked = min(_AT_ONCE, most - len(self._gotten))
            if self._get(queue, asked) < asked:
                break
        return self._gotten

    def give_back(self, queue: str) -> None:
        """Have all that was gotten in its place again."""
        if not self._gotten:
            return
        if not self._is_quorum:
            self._open_channel.basic_nack(self._gotten[-1].tag, multiple=True, requeue=True)
            self.queue(queue)
            return
        # Without a delivery limit such a queue puts at its end what is requeued, and in its place what a channel leaves
        # behind. The first message has a channel of its own; those of the other follow with the connection.
        self._open_channel.close()
        self._run_until(lambda: bool(self._open_channel.is_closed))
        self._pause(_LEFT_WITHIN)

    def _get(self, queue: str, count: int) -> int:
        """Get messages in one round; answers how many there were."""
        before, self._empty = len(self._gotten), 0
        for _ in range(count):
            # What pika calls `basic_get` waits for the answer.
            self._open_channel._send_method(pika.spec.Basic.Get(queue=queue))  # noqa: SLF001
        self._run_until(lambda: len(self._gotten) - before + self._empty == count)
        return len(self._gotten) - before

    def _consume(self, queue: str, count: int) -> None:
        """Have more messages on a channel of their own: those of one consumer keep their order when it leaves."""
        if count < 1:
            return
        channel = self._call(lambda done: self._connection.channel(on_open_callback=done))
        channel.add_on_close_callback(lambda _, reason: self._end_with(reason))
        self._call(lambda done: channel.basic_qos(prefetch_count=min(count, _MOST_PREFETCH), callback=done))
        tag: list[str] = []
        self._call(lambda done: tag.append(channel.basic_consume(queue, lambda *_: None, callback=done)))
        known = 0
        while known < len(self._gotten) <= min(count, _MOST_PREFETCH):
            known = len(self._gotten)
            self._pause(_QUIET)
        self._call(lambda done: channel.basic_cancel(tag[0], callback=done))

    @property
    def _is_quorum(self) -> bool:
        return _COUNTED in self._gotten[0].properties

    def _end_with(self, reason: BaseException) -> None:
        if isinstance(reason, ChannelClosedByClient):
            self._loop.stop()
        else:
            super()._end_with(reason)

    @property
    def _address(self) -> tuple[str, int]:
        return self._parameters.host, self._parameters.port

    @property
    def _open_channel(self) -> Any:
        return self._channel

    def _pause(self, seconds: float) -> None:
        self._call(lambda done: self._loop.call_later(max(0.0, seconds), lambda: done(None)))

    def _expect_refusal(self, request: Callable[[Callable[..., None]], object]) -> None:
        try:
            self._call(request)
        except FatalError:
            code, _ = (self._end and reply_of(self._end)) or (0, "")
            if code != _PRECONDITION_FAILED:
                raise

    def _receive(self, deliveries: list[Delivery]) -> None:
        self._gotten += deliveries
        self._loop.stop()

    def _nothing_there(self, _: object) -> None:
        self._empty += 1
        self._loop.stop()

    def _meaning(self, error: BaseException) -> FlowError:
        meaning = super()._meaning(error)
        if HUNG_UP in str(meaning) and not self._parameters.ssl_options and speaks_tls(*self._address):
            return FatalError(f"{self._at}: the port is one for TLS; a URL for it begins with amqps://")
        return meaning
