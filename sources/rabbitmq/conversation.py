"""A connection to a broker and one channel on it, from the connect to the loss of either."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowspec.errors import FlowError
from sources.rabbitmq.account import address_of
from sources.rabbitmq.connection import DeliveryConnection
from sources.rabbitmq.deliveries import Deliveries, Delivery
from sources.rabbitmq.errors import classify

if TYPE_CHECKING:
    import pika
    from pika.adapters.select_connection import IOLoop
    from pika.channel import Channel

__all__ = ["Conversation", "Interrupted"]

_channels = itertools.count(1)


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A conversation is not wanted any more."""


class Conversation:
    """Talks to one broker on one thread, which runs `loop`; every method is called on that thread.

    The loss of the connection or of its channel is one and the same: the conversation is over.
    """

    def __init__(
        self, parameters: pika.ConnectionParameters, loop: IOLoop, deliver: Callable[[list[Delivery]], None]
    ) -> None:
        self.number = next(_channels)
        """Which of all channels of this process it has."""
        self._at = address_of(parameters)
        self._loop = loop
        self._end: BaseException | None = None
        self._channel: Channel | None = None
        self._connection = DeliveryConnection(
            parameters,
            loop,
            Deliveries(self.number),
            deliver=deliver,
            opened=loop.stop,
            closed=self._end_with,
        )

    def close(self, timeout: float) -> None:
        """Say good-bye when everything is sent, for `timeout` seconds at most; what is not settled is given back."""
        connection = self._connection
        if not (connection.is_closing or connection.is_closed):
            connection.close()
        impatience = self._loop.call_later(timeout, connection.abort)
        while not connection.is_closed:
            self._loop.start()
        self._loop.remove_timeout(impatience)

    def _connect(self) -> Channel:
        """Connect, and open the channel.

        Raises:
            TransientError: the broker cannot be reached, or cannot do it now.
            FatalError: trying again cannot help.
            Interrupted: it is not wanted any more.
        """
        self._run_until(lambda: self._connection.is_open)
        channel: Channel = self._call(lambda done: self._connection.channel(on_open_callback=done))
        channel.add_on_close_callback(lambda _, reason: self._end_with(reason))
        self._channel = channel
        return channel

    def _call(self, request: Callable[[Callable[..., None]], object]) -> Any:
        """Make a request with a callback, and wait for what it is called with."""
        answers: list[Any] = []

        def done(answer: Any) -> None:
            answers.append(answer)
            self._loop.stop()

        self._run_until(lambda: True)
        request(done)
        self._run_until(lambda: bool(answers))
        return answers[0]

    def _run_until(self, condition: Callable[[], bool]) -> None:
        while self._end is None and not condition():
            self._loop.start()
        if isinstance(self._end, (FlowError, Interrupted)):
            raise self._end
        if self._end is not None:
            raise self._meaning(self._end) from self._end

    def _end_with(self, reason: BaseException) -> None:
        self._end = self._end or reason
        self._loop.stop()

    def _meaning(self, error: BaseException) -> FlowError:
        return classify(error, self._at)
