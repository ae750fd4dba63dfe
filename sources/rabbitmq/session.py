"""One consumer on a connection of its own, from the connect to the loss of either."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from typing import TYPE_CHECKING, Any

from flowspec.errors import FatalError, FlowError, TransientError
from sources.rabbitmq.conversation import Conversation, Interrupted
from sources.rabbitmq.deliveries import Delivery
from sources.rabbitmq.errors import reply_of
from sources.rabbitmq.topology import argument_field

if TYPE_CHECKING:
    import pika
    from pika.adapters.select_connection import IOLoop
    from pika.channel import Channel

    from sources.rabbitmq.topology import Binding, Declaration
    from sources.rabbitmq.trigger import ConsumeQueue

__all__ = ["Interrupted", "MissingQueueError", "Session", "declare_queue", "with_advice"]

_NOT_FOUND = 404
_DIFFERENT_ARGUMENT = re.compile(r"inequivalent arg '([^']+)' for queue")
_LOOK_EVERY = 5.0
"""Seconds between two looks at how many messages wait."""


class MissingQueueError(FatalError):
    """The queue, or an exchange that is to be bound to it, does not exist."""


class Session(Conversation):
    """Consumes one queue on one thread, which runs `loop`; every method is called on that thread.

    The loss of the connection, of its channel or of the consumer is one and the same: the session is over, and the
    broker hands out again what was not settled.
    """

    def __init__(
        self,
        trigger: ConsumeQueue,
        parameters: pika.ConnectionParameters,
        loop: IOLoop,
        deliver: Callable[[list[Delivery]], None],
    ) -> None:
        super().__init__(parameters, loop, deliver)
        self._trigger = trigger
        self._consumer: str | None = None
        self._settled = 0

    def open(self) -> None:
        """Connect, declare what is to be declared, and consume.

        Raises:
            TransientError: the broker cannot be reached, or cannot do it now.
            FatalError: trying again cannot help.
            Interrupted: it is not wanted any more.
        """
        channel = self._connect()
        channel.add_on_cancel_callback(self._cancelled)
        self._declare(channel)
        self._call(lambda done: channel.basic_qos(prefetch_count=self._trigger.messages_ahead, callback=done))
        self._call(lambda done: self._consume(channel, done))

    def run(self) -> None:
        """Consume until the session is over.

        Raises:
            TransientError: it was lost.
            FatalError: it was lost, and trying again cannot help.
            Interrupted: it is not wanted any more.
        """
        self._run_until(lambda: False)

    def interrupt(self) -> None:
        """End it."""
        self._end_with(Interrupted())

    def cancel(self) -> None:
        """Have the broker send no more; what was not asked for yet is not asked for."""
        if self._channel is None or self._consumer is None:
            self.interrupt()
        elif self._channel.is_open:
            self._channel.basic_cancel(self._consumer)

    def settle(self, tag: int, rejected: Set[int]) -> None:
        """Acknowledge every message up to `tag`, apart from those that are `rejected`."""
        channel = self._channel
        if channel is None or not channel.is_open:
            return
        for each in sorted(rejected):
            channel.basic_nack(each, requeue=False)
        # The broker closes a channel on which a tag is settled twice.
        last = tag
        while last in rejected:
            last -= 1
        if last > self._settled:
            channel.basic_ack(last, multiple=True)
        self._settled = tag

    def watch(self, tell: Callable[[int], None]) -> None:
        """Tell now and then how many messages wait in the queue, for as long as the broker says it."""

        def opened(channel: Channel) -> None:
            def look() -> None:
                if channel.is_open:
                    channel.queue_declare(self._trigger.queue, passive=True, callback=answered)

            def answered(frame: Any) -> None:
                tell(frame.method.message_count)
                self._loop.call_later(_LOOK_EVERY, look)

            look()

        if self._connection.is_open:
            self._connection.channel(on_open_callback=opened)

    def _declare(self, channel: Channel) -> None:
        queue, declare = self._trigger.queue, self._trigger.declare
        if declare is not None:
            self._call(lambda done: declare_queue(channel, queue, declare, done))
        for binding in self._trigger.bindings:
            self._bind(channel, queue, binding)

    def _bind(self, channel: Channel, queue: str, binding: Binding) -> None:
        exchange, kind = binding.exchange, binding.exchange_type
        if kind is not None:
            self._call(lambda done: channel.exchange_declare(exchange, kind, durable=True, callback=done))
        self._call(lambda done: channel.queue_bind(queue, exchange, binding.routing_key, binding.arguments, done))

    def _consume(self, channel: Channel, done: Callable[..., None]) -> None:
        self._consumer = channel.basic_consume(
            self._trigger.queue, self._passed_by, arguments=self._trigger.consumer_arguments, callback=done
        )

    def _cancelled(self, _: object) -> None:
        msg = f"{self._at}: the broker cancelled the consumer: queue {self._trigger.queue!r} was deleted, or moves"
        self._end_with(TransientError(msg))

    def _meaning(self, error: BaseException) -> FlowError:
        return with_advice(super()._meaning(error), error, self._trigger)

    def _passed_by(self, *_: object) -> None:
        """What pika calls when it reads a delivery itself."""
        import pika

        msg = f"pika {pika.__version__} is not supported: it does not read as the releases before it do"
        self._end_with(FatalError(msg))


def declare_queue(channel: Channel, queue: str, declare: Declaration, done: Callable[..., None]) -> None:
    """Have a queue created, or have the broker see that the one it has is the same."""
    channel.queue_declare(
        queue,
        durable=declare.durable,
        auto_delete=declare.auto_delete,
        arguments=declare.all_arguments(),
        callback=done,
    )


def with_advice(meaning: FlowError, error: BaseException, trigger: ConsumeQueue) -> FlowError:
    """What an error means, and what of the trigger is to be changed for it."""
    code, text = reply_of(error) or (0, "")
    if isinstance(meaning, FatalError) and code == _NOT_FOUND:
        hint = "" if trigger.declare or "no queue" not in text else "; with 'declare' the flow creates its queue"
        return MissingQueueError(f"{meaning}{hint}")
    if match := _DIFFERENT_ARGUMENT.search(text):
        return FatalError(f"{meaning}; see {argument_field(match[1])!r} of 'declare'")
    return meaning
