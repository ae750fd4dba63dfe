"""rabbitmq / consume-queue on one worker: consumes, hands over, acknowledges what was delivered."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, TypeAlias

from pika.adapters.select_connection import IOLoop

from flowspec.delivery.background import Background
from flowspec.delivery.backoff import Backoff
from flowspec.delivery.buffer import Buffer
from flowspec.errors import TransientError
from sources.rabbitmq.account import RabbitAccount
from sources.rabbitmq.deliveries import Delivery
from sources.rabbitmq.messages import to_record
from sources.rabbitmq.session import Interrupted, MissingQueueError, Session

if TYPE_CHECKING:
    import pika

    from flowspec.connectors import WorkerContext
    from flowspec.records import Record
    from sources.rabbitmq.trigger import ConsumeQueue

__all__ = ["QueueReader", "RejectingReader"]

_DECLARED_ANEW_WITHIN = 30.0
"""Seconds that a queue which was there may be missing: whoever declares it anew deletes it first."""
_GOOD_BYE = 2.0
"""Seconds for the close of a connection that is of no more use."""
_GRACE = 1.0
"""Seconds that the thread has for its own end."""

_Position: TypeAlias = "tuple[int, int]"
"""The number of a channel of this process, and the tag of the last delivery on it."""


class QueueReader:
    """Reads one queue; one thread of its own does all that has to do with the broker."""

    def __init__(self, trigger: ConsumeQueue, context: WorkerContext) -> None:
        self._trigger = trigger
        self._context = context
        self._health = context.health
        name = f"{context.flow}: {trigger.connector} {trigger.event}, worker {context.worker}"
        self._parameters = RabbitAccount.of(trigger.account).parameters(name)
        self._unread: Buffer[Delivery] = Buffer()
        self._position: _Position = (0, 0)
        self._stopping = threading.Event()
        self._close_by: float | None = None
        self._loop = IOLoop()
        # The session belongs to the thread; others leave word in its loop.
        self._session: Session | None = None
        self._consumed_at = -float("inf")
        self._thread = Background("rabbitmq", context.health, self._unread.fail)
        self._thread.start(self._converse, self._stopping, "consumer")

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over messages."""
        taken = self._unread.take(most, wait, self._trigger.batch_wait)
        if not taken:
            return []
        self._position = (taken[-1].channel, taken[-1].tag)
        return [self._record(delivery) for delivery in taken]

    def position(self) -> _Position:
        """Channel and tag of the last message that was handed over."""
        return self._position

    def commit(self, position: _Position) -> None:
        """Have the messages up to `position` acknowledged; those of a lost channel come again."""
        self._settle(position, frozenset())

    def stop(self) -> None:
        """Consume no more; `close` gives back what was not handed over."""
        self._stopping.set()
        self._loop.add_callback_threadsafe(self._cancel)

    def close(self, timeout: float) -> None:
        """Acknowledge what is committed and give back the rest, in `timeout` seconds at most."""
        if self._close_by is not None:
            return
        self._close_by = time.monotonic() + timeout
        self._stopping.set()
        self._loop.add_callback_threadsafe(self._hang_up)
        if self._thread.join(timeout + _GRACE):
            self._loop.close()

    def _record(self, delivery: Delivery) -> Record:
        return to_record(delivery, self._trigger.queue)

    def _settle(self, position: _Position, rejected: Set[int]) -> None:
        number, tag = position

        def settle() -> None:
            if self._session is not None and self._session.number == number:
                self._session.settle(tag, rejected)

        self._loop.add_callback_threadsafe(settle)

    def _cancel(self) -> None:
        if self._session is not None:
            self._session.cancel()

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.interrupt()

    def _converse(self) -> None:
        """One session, with the first broker that answers."""
        unreachable: list[TransientError] = []
        for parameters in self._parameters:
            if self._stopping.is_set():
                return
            try:
                self._consume(parameters)
            except TransientError as error:
                unreachable.append(error)
            else:
                # It is over. It did consume, so that the next attempt is a first one.
                self._stopping.wait(Backoff().next())
                return
        raise unreachable[0]

    def _consume(self, parameters: pika.ConnectionParameters) -> None:
        """One session, from its opening to its end.

        Raises:
            TransientError: it could not be opened.
        """
        session = self._session = Session(self._trigger, parameters, self._loop, self._receive)
        consumed = False
        try:
            session.open()
            consumed = True
            self._health.up()
            session.watch(self._tell_lag)
            session.run()
        except Interrupted:
            return
        except MissingQueueError as error:
            if time.monotonic() - self._consumed_at > _DECLARED_ANEW_WITHIN:
                raise
            raise TransientError(str(error)) from error
        except TransientError as error:
            if not consumed:
                raise
            self._health.down(error)
        finally:
            if consumed:
                self._consumed_at = time.monotonic()
            self._session = None
            self._unread.clear()
            session.close(_GOOD_BYE if self._close_by is None else max(0.0, self._close_by - time.monotonic()))

    def _receive(self, deliveries: list[Delivery]) -> None:
        if self._session is not None:
            # No byte is counted: the broker's prefetch is the bound, and it is of messages.
            self._unread.put_batch(deliveries, size=0)

    def _tell_lag(self, waiting: int) -> None:
        """Take the share of this worker, so that the sum of all is right."""
        workers = self._context.workers
        self._health.lag = (waiting + workers - 1 - self._context.worker) // workers


class RejectingReader(QueueReader):
    """Has the broker take what failed, for the dead-letter exchange of the queue."""

    def __init__(self, trigger: ConsumeQueue, context: WorkerContext) -> None:
        super().__init__(trigger, context)
        self._rejected: set[_Position] = set()

    def reject(self, records: Sequence[Record]) -> None:
        """Take note of records that failed: when they are committed, they are rejected instead of acknowledged."""
        self._rejected |= {(record.meta["channel"], record.meta["delivery_tag"]) for record in records}

    def commit(self, position: _Position) -> None:
        """Have the messages up to `position` acknowledged or rejected; those of a lost channel come again."""
        settled = {each for each in self._rejected if each <= position}
        self._rejected -= settled
        self._settle(position, {tag for number, tag in settled if number == position[0]})

    def _record(self, delivery: Delivery) -> Record:
        record = super()._record(delivery)
        record.meta["channel"] = delivery.channel
        record.meta["delivery_tag"] = delivery.tag
        return record
