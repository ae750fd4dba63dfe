"""The writer of kafka / produce with `exactly_once`: messages and consumed offsets are committed together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from confluent_kafka import KafkaError, KafkaException

from flowspec.delivery.backoff import Backoff
from flowspec.errors import FatalError, FlowError, RecordError, TransientError
from flowspec.records import Failure, Record
from sinks.kafka.messages import Message, MessageMaker
from sinks.kafka.outbox import Outbox, Patience, ProducerLostError
from sinks.kafka.producer import Verdicts, fails_alone
from sources.kafka.account import KafkaAccount
from sources.kafka.errors import classify, is_fenced

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

    from flowspec.connectors import WorkerContext
    from sinks.kafka.produce import Produce

__all__ = ["TransactionalProducer"]

_WITH_OTHERS = frozenset(
    {
        KafkaError._INVALID_DIFFERENT_RECORD,  # noqa: SLF001
        KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
        KafkaError._PURGE_QUEUE,  # noqa: SLF001
        KafkaError._STATE,  # noqa: SLF001
    }
)
"""What a message fails with when another one has failed. librdkafka may also purge what it is given right after an
abort."""
_TRIES = 5
_CALL = 1.0
"""Seconds that one call may take before it is made again; between two of them the flow can be stopped."""
_STUCK = 4.0
"""Seconds beyond that after which it will not return."""
_CLOSE = 5.0
_SOCKET = 20.0
"""Seconds that a broker has for its answer; librdkafka wants no more than a transaction may take."""


@runtime_checkable
class _GroupReader(Protocol):
    """A reader that leaves its commits to a transaction."""

    def enlist(self, transaction: TransactionalProducer) -> None: ...

    def owns(self, record: Record) -> bool: ...


class _AbortError(Exception):
    """The transaction cannot be committed any more."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(f"the transaction is aborted: {error.name()}: {error.str()}")


class TransactionalProducer:
    """Writes with a transactional producer.

    A transaction begins with the first batch after a commit, and is committed by the reader's commit, which comes when
    everything that was read before is written: a filtered record, and a dead letter, is so committed as well. Until
    then what was written is kept, for a transaction that has to be aborted is written once more, without the
    records whose partition another member of the group has got meanwhile.
    """

    def __init__(self, action: Produce, context: WorkerContext) -> None:
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
        self._maker = MessageMaker(action)
        self._verdicts = Verdicts(action)
        self._reader: _GroupReader | None = None
        self._pairs: list[tuple[Record, Message]] = []
        """What is to be committed next."""
        self._written = 0
        """How many of them, from the first, the flow was told are written."""
        self._inside = self._confirmed = 0
        """How many of them, from the first, are in the open transaction, and confirmed there."""
        self._interrupted = self._one_by_one = False
        self._open = self._doomed = False
        """Whether there is a transaction, and whether it has to be aborted."""
        self._began = 0.0
        self._ready = False
        self._closing = threading.Event()
        self._outbox = self._new_outbox()
        self._preparing = threading.Lock()
        # Before there is anything to write: what a crash left open holds up those who read the topic, and the offsets
        # of the group.
        self._starting = threading.Thread(target=self._start, name=f"kafka-{self._id}-start", daemon=True)
        self._starting.start()

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Produce records, those apart that an earlier try has made messages of, and wait for all of them."""
        reader = self._reader or self._enlisted()
        known = {id(record) for record, _ in self._pairs} if self._interrupted else ()
        fresh = [record for record in records if id(record) not in known] if known else records
        good, messages, failures = self._maker.make(fresh)
        self._pairs += zip(good, messages, strict=True)
        self._interrupted = True
        with self._mending():
            failures += self._deliver(reader)
        self._interrupted = False
        return failures

    def commit(self, consumed: Callable[[], tuple[list[TopicPartition], Any]]) -> None:
        """Commit what is written, and offsets with it; returns when that is done.

        Args:
            consumed: Answers the offsets that are still to be committed, and the group as it was just before that. It
                is asked again for each try.

        Raises:
            FatalError: it cannot be committed, ever.
        """
        reader = self._reader or self._enlisted()
        backoff, patience = Backoff(most=5.0), Patience(self._context)
        while True:
            try:
                with self._mending():
                    self._commit(reader, *consumed())
            except TransientError as error:
                patience.spend(error, forever=True)
                self._closing.wait(backoff.next())
            else:
                self._context.health.up()
                return

    def close(self) -> None:
        """Abort what is not committed, and free everything."""
        self._closing.set()
        self._starting.join()
        if self._open:
            with suppress(KafkaException, SystemError), self._outbox.lock:
                self._outbox.producer.abort_transaction(_CLOSE)
        self._outbox.close()

    def _enlisted(self) -> _GroupReader:
        """The reader whose commits are ours from now on."""
        readers = [reader for reader in self._context.readers if isinstance(reader, _GroupReader)]
        if len(readers) != 1:
            msg = "exactly_once needs one consumer of a Kafka group on each worker"
            raise FatalError(msg)
        self._reader = readers[0]
        self._reader.enlist(self)
        return self._reader

    def _deliver(self, reader: _GroupReader) -> list[Failure]:
        """Have all messages confirmed in the transaction, those apart that cannot be."""
        failures: list[Failure] = []
        alone = False
        tries = 0
        while self._written < len(self._pairs):
            upto = self._written + 1 if alone else len(self._pairs)
            failed = self._fill(reader, upto)
            if not failed:
                self._written = upto
                continue
            self._doomed = True
            verdicts = self._judged(failed)
            self._abort()
            if not verdicts:
                tries += 1
                if tries == _TRIES:
                    msg = "the messages of the transaction are not taken"
                    raise TransientError(msg)
            elif len(verdicts) == 1 or all(fails_alone(failed[place]) for place in verdicts):
                failures += [Failure(self._pairs[place][0], verdict) for place, verdict in verdicts.items()]
                self._pairs = [pair for place, pair in enumerate(self._pairs) if place not in verdicts]
            else:
                # For the sake of which of them it was, is seen one by one.
                alone = True
        return failures

    def _judged(self, failed: dict[int, KafkaError]) -> dict[int, RecordError]:
        """What the errors of messages mean for the records, those apart that failed with others.

        Raises:
            TransientError: one of them fails for now.
            FatalError: all that follow will fail, or one fails that was written before.
        """
        verdicts = {}
        for place, error in failed.items():
            if error.code() in _WITH_OTHERS:
                continue
            verdict = self._verdicts.of(error, self._pairs[place][1])
            if isinstance(verdict, TransientError):
                raise verdict
            verdicts[place] = verdict
        if not any(place < self._written for place in verdicts):
            return verdicts
        if self._one_by_one:
            msg = f"what was written cannot be written again: {min(verdicts.items())[1]}"
            raise FatalError(msg)
        # What is taken alone may be too much together, in a topic for tiny messages.
        self._one_by_one = True
        return {}

    def _fill(self, reader: _GroupReader, upto: int) -> dict[int, KafkaError]:
        """Have messages confirmed in the transaction, from the first; answers those that failed, by their place."""
        self._begin(reader)
        upto = min(upto, len(self._pairs))
        while self._confirmed < upto:
            # What was written before shares no call with what is new, and may fail.
            until = self._written if self._confirmed < self._written else upto
            until = self._confirmed + 1 if self._one_by_one else until
            self._inside += self._outbox.put([message for _, message in self._pairs[self._inside : until]])
            if failed := self._outbox.settle():
                return {self._confirmed + place: error for place, error in failed.items()}
            if self._inside == self._confirmed:
                msg = "the producer has no room for the message"
                raise TransientError(msg)
            self._confirmed = self._inside
        return {}

    def _begin(self, reader: _GroupReader) -> None:
        if self._doomed:
            self._abort()
        if self._open:
            return
        self._prepare()
        owned = [reader.owns(record) for record, _ in self._pairs]
        self._pairs = [pair for pair, ours in zip(self._pairs, owned, strict=True) if ours]
        self._written = sum(owned[: self._written])
        self._call(lambda _: self._outbox.producer.begin_transaction())
        self._open = True
        self._began = time.monotonic()

    def _commit(self, reader: _GroupReader, offsets: list[TopicPartition], group: Any) -> None:
        if not all(reader.owns(record) for record, _ in self._pairs):
            # Who has its partition now writes it as well.
            self._doomed = self._open
        if failed := self._fill(reader, len(self._pairs)):
            self._doomed = True
            self._judged(failed)
            msg = "what was written is written once more"
            raise TransientError(msg)
        if offsets:
            self._call(lambda wait: self._send_offsets(offsets, group, wait))
        self._call(self._outbox.producer.commit_transaction, forever=True)
        self._ended()
        self._pairs = []
        self._written = 0
        self._one_by_one = False

    def _send_offsets(self, offsets: list[TopicPartition], group: Any, wait: float) -> None:
        # After a broker was away librdkafka may never return from this, whatever it is told to wait (its issues 5456
        # and 5511), so it is called on a thread that can be left behind, with the producer.
        producer = self._outbox.producer
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

    def _abort(self) -> None:
        self._call(self._outbox.producer.abort_transaction)
        self._outbox.empty()
        self._ended()

    def _ended(self) -> None:
        self._open = self._doomed = False
        self._inside = self._confirmed = 0

    def _prepare(self) -> None:
        """Have what another producer of the same id left open ended, and no other one go on."""
        with self._preparing:
            if not self._ready:
                self._call(self._outbox.producer.init_transactions)
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
                with self._outbox.lock:
                    operation(_CALL)
            except (KafkaException, SystemError) as raised:
                error = self._outbox.error_of(raised)
            else:
                return
            if error.fatal():
                raise ProducerLostError(error)
            if error.txn_requires_abort():
                raise _AbortError(error)
            meaning = classify(error, f"transactional id {self._id!r}")
            if not error.retriable():
                raise meaning
            if self._closing.is_set():
                raise meaning
            patience.spend(self._outbox.trouble or meaning, forever=forever)

    @contextmanager
    def _mending(self) -> Iterator[None]:
        """Turn what has the transaction fail into an error that passes, after which it is written once more."""
        try:
            try:
                yield
            except _AbortError as error:
                self._doomed = True
                self._abort()
                raise TransientError(str(error)) from error
        except ProducerLostError as error:
            self._replace(error.error)
            raise TransientError(str(error)) from error

    def _replace(self, error: KafkaError) -> None:
        """Go on with another producer, where this one was only too slow.

        Raises:
            FatalError: another one took its id, or it is not known what became of the transaction.
        """
        # A broker fences a transaction that took too long just like one of another producer.
        expired = self._open and time.monotonic() - self._began >= self._timeout
        if not (is_fenced(error) and expired) and error.fatal():
            raise classify(error, f"transactional id {self._id!r}")
        self._outbox.close()
        self._outbox = self._new_outbox()
        self._ready = False
        self._ended()

    def _new_outbox(self) -> Outbox:
        return Outbox(self._account, self._id, self._settings, self._context)
