"""Publishing batches, and finding the messages that the broker refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowspec.errors import FlowError, RecordError, TransientError
from flowspec.formats import encode_all, encoder
from flowspec.records import Failure, Record
from sinks.rabbitmq.channel import ConfirmedChannel
from sinks.rabbitmq.messages import Envelope, Message, is_constant
from sources.rabbitmq.account import RabbitAccount
from sources.rabbitmq.errors import classify

if TYPE_CHECKING:
    from pika.exceptions import ChannelClosedByBroker

    from sinks.rabbitmq.action import Publish

__all__ = ["Publisher"]

_OF_THE_EXCHANGE = (403, 404)
"""Replies that are about where a message is to go, rather than about the message."""


class Publisher:
    """Writes records as messages, and knows which of them the broker has."""

    def __init__(self, action: Publish, name: str) -> None:
        self._action = action
        self._account = RabbitAccount.of(action.account)
        self._name = name
        # A certificate that cannot be used is said before anything is read.
        self._account.parameters(self._name)
        self._encode = encoder(action.format)
        self._envelope = Envelope(action)
        self._channel: ConfirmedChannel | None = None
        self._unconfirmed: dict[int, Message] = {}
        """Messages of the last write that are in flight still, by the identity of their record."""

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Publish records, and wait for the confirm of each."""
        # What waits for its confirm is not published again: a broker that is blocked would get it again and again.
        messages = [self._unconfirmed[id(record)] for record in records if id(record) in self._unconfirmed]
        if messages:
            records = [record for record in records if id(record) not in self._unconfirmed]
        good, payloads, failures = encode_all(records, self._encode)
        messages += self._wrapped(good, payloads, failures)
        obstacle = self._publish(messages)
        self._unconfirmed = {id(message.record): message for message in messages if message.in_flight}
        for message in messages:
            error = message.error or obstacle
            if error is not None and not message.confirmed:
                failures.append(Failure(message.record, error))
        return failures

    def close(self) -> None:
        """End the connection."""
        if self._channel is not None:
            self._channel.close()

    def _wrapped(self, records: Sequence[Record], payloads: Sequence[bytes], failures: list[Failure]) -> list[Message]:
        """The messages of records; those that cannot be one are added to `failures`."""
        try:
            return self._envelope.wrap(records, payloads)
        except RecordError:
            messages: list[Message] = []
            for record, payload in zip(records, payloads, strict=True):
                try:
                    messages += self._envelope.wrap([record], [payload])
                except RecordError as error:
                    failures.append(Failure(record, error))
            return messages

    def _publish(self, messages: Sequence[Message]) -> TransientError | None:
        """Publish, so that each message is settled; answers what stands in the way of the others."""
        try:
            if self._deliver(messages) is not None:
                # The broker does not say which of them it refuses, only that it has looked at no later one.
                for message in messages:
                    if not message.settled:
                        self._deliver_alone(message)
        except TransientError as error:
            return error
        return None

    def _deliver_alone(self, message: Message) -> None:
        refusal = self._deliver([message])
        if refusal is not None and not message.settled:
            message.error = self._meaning(refusal, message)

    def _deliver(self, messages: Sequence[Message]) -> ChannelClosedByBroker | None:
        return self._connected().deliver(messages) if messages else None

    def _connected(self) -> ConfirmedChannel:
        if self._channel is not None:
            if not self._channel.is_lost:
                return self._channel
            self._channel.close()
            self._channel = None
        obstacles = []
        for parameters in self._account.parameters(self._name):
            channel = ConfirmedChannel(parameters, mandatory=self._action.mandatory)
            try:
                channel.open()
            except FlowError as error:
                channel.close()
                if not isinstance(error, TransientError):
                    raise
                obstacles.append(str(error))
            else:
                self._channel = channel
                return channel
        raise TransientError("; ".join(obstacles))

    def _meaning(self, refusal: ChannelClosedByBroker, message: Message) -> FlowError:
        """What it means for a message that the broker closed the channel because of it.

        Raises:
            FatalError: it would do so for every other one.
        """
        assert self._channel is not None  # noqa: S101 - it is what was closed
        meaning = classify(refusal, self._channel.address)
        if isinstance(meaning, TransientError):
            return meaning
        if refusal.reply_code in _OF_THE_EXCHANGE and is_constant(self._action.exchange):
            by_routing_key = "access to topic" in refusal.reply_text
            if not by_routing_key or is_constant(self._action.routing_key):
                raise meaning from refusal
        return RecordError(f"the broker refuses the message: {refusal.reply_code} {refusal.reply_text}")
