"""A producer of librdkafka, and the messages that are with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from flowspec.errors import FatalError, FlowError, TransientError
from sources.kafka.errors import classify

if TYPE_CHECKING:
    from confluent_kafka import Message as Report
    from confluent_kafka import Producer

    from flowspec.connectors import WorkerContext
    from sinks.kafka.messages import Message
    from sources.kafka.account import KafkaAccount

__all__ = ["Outbox", "Patience", "ProducerLostError"]

_SETTINGS = {
    "acks": "all",
    "enable.idempotence": True,
    # Success is seen by all of them being gone.
    "delivery.report.only.error": True,
    # As fast as librdkafka's own megabyte, and a message that is too large then shares no call with others, except in a
    # topic for tiny ones.
    "batch.size": 64 * 1024,
    "reconnect.backoff.max.ms": 2_000,
    "socket.keepalive.enable": True,
    "socket.timeout.ms": 20_000,
    # How long a topic may be unknown until it counts as missing; by default half a minute.
    "topic.metadata.propagation.max.ms": 5_000,
}
_SLICE = 0.5
_SLOW = 5.0
"""Seconds without a confirmation after which the sink counts as down."""
_PATIENCE = 30.0
_PATIENCE_AT_THE_END = 1.0
"""Seconds that one write waits for confirmations, and while the flow stops."""
_IDLE = 1.0
"""Seconds between two polls while nothing is written, for the log and for logins that are renewed."""


class ProducerLostError(Exception):
    """The producer cannot go on; another produces again what is not known to be confirmed."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(f"the producer is replaced: {error.name()}: {error.str()}")
        self.error = error


class Patience:
    """How long one call waits for the brokers, and what is said meanwhile."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._began = time.monotonic()
        self._said = False

    def spend(self, reason: FlowError | None, *, forever: bool = False) -> None:
        """Say why it still waits, where that is known.

        Raises:
            TransientError: it has waited long enough.
            FatalError: waiting is no use.
        """
        waited = time.monotonic() - self._began
        reason = reason or TransientError(f"not confirmed for {waited:.0f} s")
        if isinstance(reason, FatalError):
            raise reason
        if not forever and waited > (_PATIENCE_AT_THE_END if self._context.stopping.is_set() else _PATIENCE):
            raise reason
        if waited > _SLOW and not self._said:
            self._context.health.down(reason)
            self._said = True


class Outbox:
    """The messages that one producer has, from `put` until all of them are confirmed or have failed.

    librdkafka tries again for as long as it takes, in order and without duplicates, so a message that is not confirmed
    in time stays here. Each is known by its place, counted from 0 since the outbox was empty.
    """

    def __init__(self, account: KafkaAccount, client_id: str, settings: dict[str, Any], context: WorkerContext) -> None:
        """Make a producer, which connects in the background.

        Raises:
            MissingDependencyError: confluent-kafka is not installed.
            FatalError: the account cannot be used as it is configured.
        """
        self._context = context
        self._all_or_nothing = "transactional.id" in settings
        # One for each place, made once: one for each message would be a tenth of what a message costs.
        self._reports: list[Callable[[KafkaError | None, Report], None]] = []
        self._count = 0
        self._failed: dict[int, KafkaError] = {}
        self.trouble: FlowError | None = None
        """What librdkafka last said that is wrong, since all was well."""
        self._lost: KafkaError | None = None
        self._closing = threading.Event()
        self.lock = threading.RLock()
        """Held while the producer is used: reports and errors come on the thread that does."""
        self.producer: Producer = account.producer(client_id, {**_SETTINGS, **settings, "error_cb": self._note})
        self._keeper = threading.Thread(target=self._keep, name=f"kafka-{client_id}", daemon=True)
        self._keeper.start()

    def put(self, messages: Sequence[Message]) -> int:
        """Hand messages over, in order; answers how many were taken: not all where the producer has no more room.

        Raises:
            ProducerLostError: the producer cannot go on.
        """
        first = self._count
        while len(self._reports) < first + len(messages):
            self._reports.append(partial(self._report, len(self._reports)))
        with self.lock:
            self._check()
            produce = self.producer.produce
            reports = self._reports[first : first + len(messages)]
            for (topic, value, key, partition, headers), report in zip(messages, reports, strict=True):
                try:
                    if headers is None:
                        produce(topic, value, key, partition, report)
                    else:
                        produce(topic, value, key, partition, report, headers=headers)  # type: ignore[arg-type]
                except BufferError:
                    break
                except KafkaException as error:
                    self._refused(self._count, error.args[0])
                self._count += 1
        return self._count - first

    def settle(self) -> dict[int, KafkaError]:
        """Wait until each message is confirmed or has failed; answers those that failed, by their place.

        In a transaction one that fails has all fail, so the first ends the wait.

        Raises:
            TransientError: that takes too long; they stay here, and the call can be made again.
            ProducerLostError: the producer cannot go on.
            FatalError: the account cannot be used.
        """
        patience = Patience(self._context)
        while (failed := self._failed_after(_SLICE)) is None:
            patience.spend(self.trouble)
        return failed

    def _failed_after(self, seconds: float) -> dict[int, KafkaError] | None:
        """What failed, where nothing is left after some time; else None."""
        left = self._left_after(seconds)
        if left and self._failed and self._all_or_nothing:
            return self._failed
        if left:
            return None
        self.trouble = None
        failed, self._failed, self._count = self._failed, {}, 0
        return failed

    def _left_after(self, seconds: float) -> int:
        """How many messages are neither confirmed nor have failed, after some time."""
        with self.lock:
            self._check()
            try:
                return self.producer.flush(seconds)
            except (KafkaException, SystemError) as raised:
                raise ProducerLostError(self.error_of(raised)) from raised

    def empty(self) -> None:
        """Forget the messages of a transaction that was aborted, when all of them have been reported.

        Raises:
            TransientError: that takes too long; the call can be made again.
            ProducerLostError: the producer cannot go on.
        """
        patience = Patience(self._context)
        while self._left_after(_SLICE):
            patience.spend(self.trouble)
        self._failed, self._count = {}, 0

    def error_of(self, raised: Exception) -> KafkaError:
        """The error of what a call raised: anything that is fatal comes out of whatever was called."""
        error: BaseException | None = raised
        while error is not None and not isinstance(error, KafkaException):
            # A report that came after it was given an interpreter that had an exception already.
            error = error.__cause__
        found = KafkaError(KafkaError._FATAL, fatal=True) if error is None else error.args[0]  # noqa: SLF001
        if _is_fatal(found):
            self._lost = found
        return found

    def _check(self) -> None:
        if self._lost is not None:
            raise ProducerLostError(self._lost)

    def _refused(self, place: int, error: KafkaError) -> None:
        if _is_fatal(error):
            self._lost = error
            raise ProducerLostError(error)
        self._failed[place] = error

    def _report(self, place: int, error: KafkaError | None, _: Report) -> None:
        if error is not None:
            self._failed[place] = error

    def _note(self, error: KafkaError) -> None:
        # That all brokers are down is said beside what is wrong with each.
        if error.code() != KafkaError._ALL_BROKERS_DOWN or self.trouble is None:  # noqa: SLF001
            self.trouble = classify(error, "broker")

    def serve(self) -> None:
        """Take note of what librdkafka has to say."""
        with self.lock:
            try:
                self.producer.poll(0)
            except (KafkaException, SystemError) as raised:
                self.error_of(raised)

    def _keep(self) -> None:
        while not self._closing.wait(_IDLE):
            self.serve()

    def close(self) -> None:
        """Give up what is here, and free everything. Never raises."""
        self._closing.set()
        self._keeper.join()
        with self.lock:
            try:
                self.producer.purge()
                self.producer.flush(0)
            except (KafkaException, SystemError):
                pass
            self._reports.clear()


def _is_fatal(error: KafkaError) -> bool:
    return error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001
