"""kafka / consume-topics on one worker: polls, hands over, has committed what was delivered.

The consumer is used by one thread only: the Python client has other threads wait until nobody polls, which is never for
long.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from flowspec.delivery.background import Background
from flowspec.errors import FatalError
from sources.kafka.account import KafkaAccount
from sources.kafka.assignment import Assignment, Offsets
from sources.kafka.committer import Committer, as_partitions
from sources.kafka.errors import classify
from sources.kafka.lag import asked_lag, fetched_lag
from sources.kafka.messages import Partition, size_of
from sources.kafka.watch import Log, Watch

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record
    from sources.kafka.trigger import ConsumeTopics

__all__ = ["TopicsReader", "Transaction"]

_POLL = 0.1
"""Seconds that a poll waits for a message; a message ends the wait at once."""
_FEWEST_DRAINED = 2_000
"""Messages that are taken from librdkafka at a time, at least where that many are there. The thread has to get Python's
lock for it, which a busy flow gives away 200 times per second."""
_UNREAD_BYTES = 32 * 1024 * 1024
_PAUSE_AFTER = 3.0
"""Seconds without room after which the partitions are paused. A pause has librdkafka throw away what it prefetched, so
it is not for the time of a batch."""
_MEASURE_EVERY = 1.0
_MEASURE_PAUSED_EVERY = 5.0
"""The broker is asked then, for each partition."""
_REVOKE_PATIENCE = 10.0
"""Seconds that a revoked partition is held until what is in the flow is delivered; others of the group wait for it."""
_MAX_POLL_INTERVAL = 300_000
"""Milliseconds; librdkafka's own default."""


class Transaction(Protocol):
    """Where a sink commits what it wrote and what was consumed for it, together."""

    def commit(self, consumed: Callable[[], tuple[list[TopicPartition], Any]]) -> None:
        """Commit what was written, and the offsets that `consumed` answers, with the membership they belong to."""
        ...


class TopicsReader(ABC):
    """Polls one consumer, and commits with it, on a thread of its own."""

    def __init__(self, trigger: ConsumeTopics, context: WorkerContext) -> None:
        self._trigger = trigger
        self._health = context.health
        account = KafkaAccount.of(trigger.account)
        name = f"{context.flow}-{context.worker}"
        self._drain = max(2 * trigger.batch_size, _FEWEST_DRAINED)
        self._assignment = Assignment(2 * self._drain, _UNREAD_BYTES)
        self._errors: list[KafkaError] = []
        self._committer = Committer(self._assignment, name)
        self._consumer = account.consumer(name, self._settings(context))
        self._watch = Watch(self._consumer, trigger.topics, context.health, self._committer)
        between_polls = float(str(account.properties.get("max.poll.interval.ms", _MAX_POLL_INTERVAL))) / 1000
        self._patience = min(_REVOKE_PATIENCE, between_polls / 2)
        self._pause_after = min(_PAUSE_AFTER, between_polls / 4)
        self._transaction: Transaction | None = None
        self._member: Any = None
        """The consumer's membership of the group, which only the thread that polls can ask for."""
        self._member_known = threading.Event()
        self._begun = False
        self._full_since: float | None = None
        self._paused: set[Partition] = set()
        self._measure_at = 0.0
        self._stopped = threading.Event()
        self._ending = threading.Event()
        self._closed = False
        self._poller = Background("kafka", context.health, self._failed)
        self._poller.start(self._poll, self._ending, "poller")

    def _settings(self, context: WorkerContext) -> dict[str, Any]:
        return {
            "group.id": self._trigger.group or context.flow,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # What retention has deleted is lost; all that is left is read.
            "auto.offset.reset": "earliest",
            "isolation.level": self._trigger.isolation,
            # By default a full queue has the next fetch wait for a second, in which a fast flow empties it.
            "fetch.queue.backoff.ms": 20,
            "queued.max.messages.kbytes": _UNREAD_BYTES // 1024,
            "reconnect.backoff.max.ms": 2_000,
            "socket.keepalive.enable": True,
            "socket.timeout.ms": 20_000,
            "topic.metadata.refresh.interval.ms": 10_000,
            "logger": Log(),
            "error_cb": self._errors.append,
            "on_commit": self._committer.on_commit,
        }

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over messages of partitions that are still ours."""
        return self._assignment.read(most, wait, self._trigger.batch_wait)

    def position(self) -> Position:
        """Where each partition is after what was handed over."""
        return self._assignment.position()

    def commit(self, position: Position) -> None:
        """Have the offsets committed that are still ours; in a transaction this is done on return."""
        if self._transaction is not None:
            self._transaction.commit(lambda: self._consumed(position))
        self._assignment.deliver(position)

    def _consumed(self, position: Offsets) -> tuple[list[TopicPartition], Any]:
        # In this order: with an older membership than the offsets need, the broker refuses them.
        self._member_known.wait()
        member = self._member
        if member is None:
            msg = "the consumer has failed"
            raise FatalError(msg)
        return as_partitions(self._assignment.ours(position)), member

    def enlist(self, transaction: Transaction) -> None:
        """Commit with `transaction` from now on, on the thread that calls `commit`."""
        self._committer.off = True
        self._transaction = transaction

    def owns(self, record: Record) -> bool:
        """Whether the offset of a record may still be committed: its partition is ours since it was handed over."""
        return self._assignment.owns(record)

    def stop(self) -> None:
        """Hand over nothing more; the consumer stays in the group until `close`."""
        self._stopped.set()

    def close(self, timeout: float) -> None:
        """Commit what is delivered and leave the group, in `timeout` seconds at most."""
        if self._closed:
            return
        self._closed = True
        self._stopped.set()
        self._ending.set()
        self._assignment.give_up()
        until = time.monotonic() + timeout
        # A consumer that a thread is still in cannot be closed; it ends with the process.
        if self._poller.join(timeout):
            left = threading.Event()

            def leave() -> None:
                while not self._committer.commit(self._consumer) and time.monotonic() < until:
                    left.wait(_POLL)
                self._consumer.close()
                left.set()

            leaving = Background("kafka", self._health, self._assignment.unread.fail)
            leaving.start(leave, left, "leaving")
            leaving.join(max(0.0, until - time.monotonic()))

    def _failed(self, error: Exception) -> None:
        self._assignment.unread.fail(error)
        self._member_known.set()

    @abstractmethod
    def _begin(self) -> bool:
        """Say which partitions to consume; answers whether that is done, else it is tried again."""

    def _poll(self) -> None:
        try:
            self._begun = self._begun or self._begin()
            self._measure()
            if self._stopped.is_set():
                self._poll_for_nothing()
            elif room := self._room():
                self._receive(room)
            self._committer.commit_some(self._consumer)
            self._ask_for_membership()
            self._notice()
            self._watch.look()
        except KafkaException as error:
            # What was taken from librdkafka may be gone with it, so this is the end, whatever it is.
            raise FatalError(str(classify(error, "consumer"))) from error

    def _ask_for_membership(self) -> None:
        if self._transaction is None:
            return
        before = self._consumer.memberid()
        member = self._consumer.consumer_group_metadata()
        # Whoever is no member may commit any offset, so a membership that has just ended must not be used.
        if before and self._consumer.memberid() == before:
            self._member = member
            self._member_known.set()

    def _room(self) -> int:
        """Reserve room for messages, if there is any; while there is none for long, the partitions are paused."""
        unread, batch = self._assignment.unread, self._trigger.batch_size
        if unread.reserve(self._drain, 0.0):
            room = self._drain
        elif not self._paused and unread.reserve(batch, _POLL):
            room = batch
        else:
            self._wait_for_room()
            return 0
        self._full_since = None
        if self._paused:
            self._consumer.resume([TopicPartition(*each) for each in self._paused])
            self._paused.clear()
        return room

    def _wait_for_room(self) -> None:
        now = time.monotonic()
        self._full_since = self._full_since or now
        if now - self._full_since >= self._pause_after:
            self._pause()
            # What the group gives us at this moment is not paused yet.
            self._put(self._sorted(self._consumer.consume(1, _POLL)))

    def _receive(self, room: int) -> None:
        try:
            messages = self._consumer.consume(room, 0)
            if not messages and (message := self._consumer.poll(_POLL)) is not None:
                # `consume` with a time to wait would wait for as many as were asked for.
                messages = [message, *self._consumer.consume(room - 1, 0)]
            self._put(self._sorted(messages))
        finally:
            self._assignment.unread.release(room)

    def _put(self, messages: list[Message]) -> None:
        if messages:
            self._assignment.unread.put_batch(messages, size_of(messages))
            self._watch.heard()

    def _sorted(self, messages: list[Message]) -> list[Message]:
        """The messages that are none but an error, left out and taken note of."""
        if not any(map(Message.error, messages)):
            return messages
        self._errors += [error for each in messages if (error := each.error()) is not None]
        return [each for each in messages if each.error() is None]

    def _notice(self) -> None:
        errors, self._errors[:] = self._errors.copy(), []
        for error in errors:
            self._watch.notice(error)

    def _poll_for_nothing(self) -> None:
        """Stay in the group, and leave the messages where they are."""
        self._pause()
        self._assignment.unread.clear()
        self._sorted(self._consumer.consume(1, _POLL))

    def _pause(self) -> None:
        if new := set(self._assignment.partitions) - self._paused:
            self._consumer.pause([TopicPartition(*each) for each in new])
            self._paused |= new

    def _measure(self) -> None:
        """Say how many messages are still to be handed over, now and then."""
        now = time.monotonic()
        if now < self._measure_at:
            return
        self._measure_at = now + (_MEASURE_PAUSED_EVERY if self._paused else _MEASURE_EVERY)
        partitions = [TopicPartition(*each) for each in self._assignment.partitions]
        positions = self._consumer.position(partitions)
        if not self._stopped.is_set() and self._transaction is None:
            self._assignment.skip({(each.topic, each.partition): each.offset for each in positions})
        # A cluster that is away does not say; what was known before is the best that there is.
        with suppress(KafkaException):
            measure = asked_lag if self._paused else fetched_lag
            self._health.lag = len(self._assignment.unread) + measure(self._consumer, positions)
