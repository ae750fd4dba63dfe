"""One transaction after the other, of one producer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException

from flowspec.errors import FlowError, TransientError
from sinks.kafka.outbox import Outbox, Patience, ProducerLostError
from sources.kafka.account import KafkaAccount
from sources.kafka.errors import classify, is_fenced

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

    from flowspec.connectors import WorkerContext
    from sinks.kafka.produce import Produce

__all__ = ["Transaction"]

_CALL = 1.0
"""Seconds that one call may take before it is made again; between two of them the flow can be stopped."""
_STUCK = 4.0
"""Seconds beyond that after which it will not return."""
_CLOSE = 5.0
_SOCKET = 20.0
"""Seconds that a broker has for its answer; librdkafka wants no more than a transaction may take."""


class _AbortError(Exception):
    """The transaction cannot be committed any more."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(f"the transaction is aborted: {error.name()}: {error.str()}")


class Transaction:
    """The transaction of a producer: begun, filled through `outbox`, and committed or aborted.

    Calls that wait for the brokers raise a `TransientError` when it takes too long, and can be made again. They are to
    be made in a `mending` block.
    """

    def __init__(self, action: Produce, context: WorkerContext) -> None:
        """Make a producer, which connects in the background.

        Raises:
            FatalError: the account cannot be used as it is configured.
        """
        self._account = KafkaAccount.of(action.account)
        self._context = context
        self._id = f"{action.transactional_id or context.flow}-{context.worker}"
        self._timeout = action.transaction_timeout
        self._settings = {
            "compression.type": action.compression,
            "transactional.id": self._id,
            "transaction.timeout.ms": round(self._timeout * 1000),
            "socket.timeout.ms": round(min(self._timeout, _SOCKET) * 1000),
        }
        self.outbox = self._new_outbox()
        self.is_open = False
        self.is_doomed = False
        """Whether it has to be aborted before anything else."""
        self._began = 0.0
        self._ready = False
        self._closing = threading.Event()
        self._preparing = threading.Lock()
        # Before there is anything to write: what a crash left open holds up those who read the topic, and the offsets
        # of the group.
        self._starting = threading.Thread(target=self._start, name=f"kafka-{self._id}-start", daemon=True)
        self._starting.start()

    def begin(self) -> None:
        """Begin one, after what another producer of the same id left open is ended for good."""
        self._prepare()
        self._call(lambda _: self.outbox.producer.begin_transaction())
        self.is_open = True
        self._began = time.monotonic()

    def commit(self, offsets: list[TopicPartition], group: Any) -> None:
        """Commit it, and offsets of a group with it."""
        if offsets:
            self._call(lambda wait: self._send_offsets(offsets, group, wait))
        # Once begun, a commit can only be gone on with.
        self._call(self.outbox.producer.commit_transaction, forever=True)
        self.is_open = False

    def abort(self) -> None:
        """Abort it."""
        self.is_doomed = True
        self._call(self.outbox.producer.abort_transaction)
        self.outbox.empty()
        self.is_open = self.is_doomed = False

    @contextmanager
    def mending(self) -> Iterator[None]:
        """Turn what has the transaction fail into a `TransientError`: it is gone, and can be done once more.

        Raises:
            TransientError: that, or what the block raises itself.
            FatalError: another producer has the same id, or it is not known what became of the transaction.
        """
        try:
            try:
                yield
            except _AbortError as error:
                self.abort()
                raise TransientError(str(error)) from error
        except ProducerLostError as error:
            self._replace(error.error)
            raise TransientError(str(error)) from error

    def close(self) -> None:
        """Abort what is not committed, and free everything. Never raises."""
        self._closing.set()
        self._starting.join()
        if self.is_open:
            with suppress(KafkaException, SystemError), self.outbox.lock:
                self.outbox.producer.abort_transaction(_CLOSE)
        self.outbox.close()

    def _send_offsets(self, offsets: list[TopicPartition], group: Any, wait: float) -> None:
        # After a broker was away librdkafka may never return from this, whatever it is told to wait (its issues 5456
        # and 5511), so it is called on a thread that can be left behind, with the producer.
        producer = self.outbox.producer
        raised: list[Exception] = []

        def send() -> None:
            try:
                producer.send_offsets_to_transaction(offsets, group, wait)
            except Exception as error:  # noqa: BLE001 - raised below, where it is handled
                raised.append(error)

        sending = threading.Thread(target=send, name=f"kafka-{self._id}-offsets", daemon=True)
        sending.start()
        sending.join(wait + _STUCK)
        if sending.is_alive():
            raise ProducerLostError(KafkaError(KafkaError._TIMED_OUT, "it does not answer"))  # noqa: SLF001
        if raised:
            raise raised[0]

    def _prepare(self) -> None:
        """Have what another producer of the same id left open ended, and no other one go on."""
        with self._preparing:
            if not self._ready:
                self._call(self.outbox.producer.init_transactions)
                self._ready = True

    def _start(self) -> None:
        # Whoever writes first tries again, and says what is wrong.
        with suppress(FlowError, ProducerLostError, _AbortError):
            self._prepare()

    def _call(self, operation: Callable[[float], None], *, forever: bool = False) -> None:
        """Make a call that takes a time to wait, until it is done.

        Raises:
            TransientError: it takes too long; it has to be made again.
            _AbortError: the transaction has to be aborted.
            ProducerLostError: the producer cannot go on.
            FatalError: it cannot be done, ever.
        """
        patience = Patience(self._context)
        while True:
            try:
                with self.outbox.lock:
                    operation(_CALL)
            except (KafkaException, SystemError) as raised:
                error = self.outbox.error_of(raised)
            else:
                return
            if error.fatal():
                raise ProducerLostError(error)
            if error.txn_requires_abort():
                raise _AbortError(error)
            meaning = classify(error, f"transactional id {self._id!r}")
            if not error.retriable() or self._closing.is_set():
                raise meaning
            self.outbox.serve()
            patience.spend(self.outbox.trouble or meaning, forever=forever)

    def _replace(self, error: KafkaError) -> None:
        # A broker fences a transaction that took too long just like one of another producer.
        expired = self.is_open and time.monotonic() - self._began >= self._timeout
        if error.fatal() and not (is_fenced(error) and expired):
            raise classify(error, f"transactional id {self._id!r}")
        self.outbox.close()
        self.outbox = self._new_outbox()
        self._ready = self.is_open = self.is_doomed = False

    def _new_outbox(self) -> Outbox:
        return Outbox(self._account, self._id, self._settings, self._context)
