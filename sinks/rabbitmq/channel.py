"""A connection to RabbitMQ on which every message that is published is confirmed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from flowspec.errors import RecordError, TransientError
from sinks.rabbitmq.messages import Message
from sources.rabbitmq.account import address_of
from sources.rabbitmq.errors import classify

__all__ = ["ConfirmedChannel"]

_PATIENCE = 5.0
"""Seconds without any confirm, after which a sink says that it waits."""
_OPENING = 10.0
"""Seconds for a channel, beside those that pika takes for the connection."""
_GOODBYE = 3.0
"""Seconds to close a connection in the way of the protocol."""
_ONE_WRITE = 262_144
"""Bytes that are given to the socket at a time."""


class ConfirmedChannel:
    """One connection with one channel in confirm mode.

    It has an I/O thread of its own, so heartbeats are answered however long nothing is sent. When the broker closes
    the channel, which it does for a message that it refuses, another one is opened on the same connection.
    """

    def __init__(self, parameters: pika.ConnectionParameters, *, mandatory: bool) -> None:
        self.address = address_of(parameters)
        self._parameters = parameters
        self._mandatory = mandatory
        self._changed = threading.Condition()
        """Guards what both threads write: the next five."""
        self._channel: Channel | None = None
        self._lost: BaseException | None = None
        self._refusal: ChannelClosedByBroker | None = None
        self._blocked: str | None = None
        self._in_flight = 0
        self._published: list[Message] = []
        """On this channel since nothing was in flight; only the I/O thread uses it."""
        self._tags_before = 0
        """Delivery tags that were used before those of `_published`."""
        self._settled_to = 0
        self._returned_to = 0
        self._connection = _Connection(
            parameters,
            on_open_callback=self._on_connected,
            on_open_error_callback=self._on_lost,
            on_close_callback=self._on_lost,
        )
        self._thread = threading.Thread(target=self._run, name="rabbitmq-publisher", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether there is no connection any more."""
        return self._lost is not None

    def open(self) -> None:
        """Wait until messages can be published.

        Raises:
            TransientError: the broker cannot be reached.
            FatalError: it refuses us, and will do so again.
        """
        with self._changed:
            self._wait_for_channel()

    def deliver(self, messages: Sequence[Message]) -> ChannelClosedByBroker | None:
        """Publish messages, those apart that are in flight already, and wait until the broker has answered for all.

        Returns:
            Why the broker closed the channel, if it did; then the messages that are not settled are not in flight.

        Raises:
            TransientError: the connection was lost, and nothing is in flight; or nothing was confirmed for a while,
                and what is not settled still is.
        """
        with self._changed:
            self._wait_for_channel()
            self._refusal = None
            fresh = [message for message in messages if not (message.in_flight or message.settled)]
            self._in_flight += len(fresh)
            self._connection.ioloop.add_callback_threadsafe(partial(self._publish, self._channel, fresh))
            self._wait_for_answers()
            self._raise_if_lost()
            return self._refusal

    def close(self) -> None:
        """End the connection and its thread."""
        # Without a loop the thread has ended.
        with suppress(Exception):
            self._connection.ioloop.add_callback_threadsafe(self._connection.end)
        self._thread.join()

    def _wait_for_channel(self) -> None:
        limit = (self._parameters.stack_timeout or 0) + _OPENING
        if not self._changed.wait_for(lambda: self._channel is not None or self.is_lost, limit):
            msg = f"{self.address}: no answer for {limit:.0f} s"
            raise TransientError(msg)
        self._raise_if_lost()

    def _wait_for_answers(self) -> None:
        before, patient_until = self._in_flight, time.monotonic() + _PATIENCE
        while self._in_flight:
            if self._changed.wait(patient_until - time.monotonic()) or self._in_flight == 0:
                continue
            if self._in_flight == before:
                reason = f"the broker takes no messages: {self._blocked}" if self._blocked else "nothing is confirmed"
                msg = f"{self.address}: {reason}; messages that wait for their confirm: {before}"
                raise TransientError(msg)
            before, patient_until = self._in_flight, time.monotonic() + _PATIENCE

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise classify(self._lost, self.address) from self._lost

    # What follows runs on the I/O thread.

    def _run(self) -> None:
        try:
            self._connection.ioloop.start()
        except Exception as error:  # noqa: BLE001 - the writer says it
            self._on_lost(self._connection, error)
        finally:
            self._connection.ioloop.close()

    def _on_connected(self, connection: pika.SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, partial(self._on_ready, channel))

    def _on_ready(self, channel: Channel, _: Any) -> None:
        self._tags_before = 0
        with self._changed:
            self._channel = channel
            self._changed.notify_all()

    def _on_channel_closed(self, channel: Channel, reason: BaseException) -> None:
        if not isinstance(reason, ChannelClosedByBroker):
            return  # With its connection, which has a callback of its own.
        with self._changed:
            self._refusal = reason
            self._channel = None
            self._forget()
        if self._connection.is_open:
            self._connection.channel(on_open_callback=self._on_channel)

    def _on_lost(self, connection: Any, reason: BaseException) -> None:
        with self._changed:
            self._lost = self._lost or reason
            self._channel = None
            self._forget()
        self._connection.ioloop.stop()

    def _forget(self) -> None:
        """Nothing is in flight any more: confirms come on the channel of a message, or never."""
        for message in self._published:
            message.in_flight = False
        self._published.clear()
        self._settled_to = self._returned_to = self._in_flight = 0
        self._changed.notify_all()

    def _on_blocked(self, connection: Any, frame: Any) -> None:
        self._blocked = frame.method.reason

    def _on_unblocked(self, connection: Any, frame: Any) -> None:
        self._blocked = None

    def _publish(self, channel: Channel | None, messages: Sequence[Message]) -> None:
        if channel is None or channel is not self._channel:
            return  # Closed since these were handed over.
        unsendable = 0
        with self._connection.gathering():
            for message in messages:
                try:
                    channel.basic_publish(
                        message.exchange, message.routing_key, message.payload, message.properties, self._mandatory
                    )
                except Exception as error:  # noqa: BLE001 - pika has no common error for what it cannot encode
                    message.error = RecordError(f"cannot be a message: {error or repr(error)}")
                    unsendable += 1
                else:
                    message.in_flight = True
                    self._published.append(message)
        self._settle(unsendable)

    def _on_return(
        self, channel: Channel, method: pika.spec.Basic.Return, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Name the message that nobody takes; the broker returns them in order, each before its confirm."""
        for at in range(self._returned_to, len(self._published)):
            message = self._published[at]
            if message.is_returned_as(method, properties, body):
                self._returned_to = at + 1
                target = f"exchange {method.exchange!r}" if method.exchange else "the default exchange"
                message.error = RecordError(
                    f"{target} has no queue for routing key {method.routing_key!r} ({method.reply_code} "
                    f"{method.reply_text}); declare or bind one, or set 'mandatory' to false"
                )
                return
        msg = "the broker returned a message that was not published like that"
        raise RuntimeError(msg)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        end = method.delivery_tag - self._tags_before
        start = self._settled_to if method.multiple else end - 1
        refused = isinstance(method, pika.spec.Basic.Nack)
        settled = 0
        for message in self._published[start:end]:
            if message.in_flight:
                message.in_flight = False
                settled += 1
                if refused:
                    message.error = TransientError(f"{self.address}: the broker rejects the message; is a queue full?")
                elif message.error is None:
                    message.confirmed = True
        if method.multiple:
            self._settled_to = end
        self._settle(settled)

    def _settle(self, count: int) -> None:
        with self._changed:
            self._in_flight -= count
            if self._in_flight == 0:
                self._tags_before += len(self._published)
                self._published.clear()
                self._settled_to = self._returned_to = 0
                self._changed.notify_all()


class _Connection(pika.SelectConnection):
    """A connection that gives many messages to the socket at once: pika makes three system calls for each.

    What it overrides pika does not document. Where a release has it no more, each message is given by itself.
    """

    _gathered: bytearray | None = None

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Gather what is published in a `with` block."""
        self._gathered = bytearray()
        try:
            yield
        finally:
            rest, self._gathered = self._gathered, None
            self._emit(rest)

    def end(self) -> None:
        """Close it, for a few seconds in the way of the protocol."""
        if self.is_open:
            self.ioloop.call_later(_GOODBYE, self._cut_off)
        if not (self.is_closing or self.is_closed):
            self.close()

    def _cut_off(self) -> None:
        if not self.is_closed:
            self._terminate_stream(None)  # type: ignore[attr-defined]

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        if self._gathered is None:
            super()._output_marshaled_frames(marshaled_frames)  # type: ignore[misc]
            return
        # The second frame has the properties; it is the one that cannot be divided.
        if len(marshaled_frames[1]) > self.params.frame_max:
            msg = f"its headers and properties have more than {self.params.frame_max:,} bytes"
            raise ValueError(msg)
        for frame in marshaled_frames:
            self._gathered += frame
        if len(self._gathered) > _ONE_WRITE:
            rest, self._gathered = self._gathered, bytearray()
            self._emit(rest)

    def _emit(self, gathered: bytearray) -> None:
        if gathered:
            super()._output_marshaled_frames([bytes(gathered)])  # type: ignore[misc]
