"""The writer of kafka / produce with `exactly_once`: messages and consumed offsets are committed together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from confluent_kafka import KafkaError

from flowspec.delivery.backoff import Backoff
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Failure, Record
from sinks.kafka.messages import Message, MessageMaker
from sinks.kafka.outbox import Patience
from sinks.kafka.producer import Verdicts, fails_alone
from sinks.kafka.transaction import Transaction

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

    from flowspec.connectors import WorkerContext
    from sinks.kafka.produce import Produce

__all__ = ["ExactlyOnceProducer"]

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


@runtime_checkable
class _GroupReader(Protocol):
    """A reader that leaves its commits to a writer."""

    def enlist(self, transaction: ExactlyOnceProducer) -> None: ...

    def owns(self, record: Record) -> bool: ...


class ExactlyOnceProducer:
    """Writes in transactions.

    One begins with the first batch after a commit, and is committed by the reader's commit, which comes when everything
    that was read before is written: a filtered record, and a dead letter, is so committed as well. Until then what was
    written is kept, for a transaction that has to be aborted is written once more, without the records whose partition
    another member of the group has got meanwhile. The dead-letter store is no part of it: there a record may be twice.
    """

    def __init__(self, action: Produce, context: WorkerContext) -> None:
        self._context = context
        self._transaction = Transaction(action, context)
        self._maker = MessageMaker(action)
        self._verdicts = Verdicts(action)
        self._reader: _GroupReader | None = None
        self._pairs: list[tuple[Record, Message]] = []
        """What is to be committed next."""
        self._ids: set[int] = set()
        """Of the records among them."""
        self._written = 0
        """How many of them, from the first, the flow was told are written."""
        self._inside = self._confirmed = 0
        """How many of them, from the first, are in the open transaction, and confirmed there."""
        self._one_by_one = False
        self._closing = threading.Event()

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Produce records, those apart that an earlier try has made messages of, and wait for all of them."""
        reader = self._reader or self._enlisted()
        fresh = [record for record in records if id(record) not in self._ids]
        good, messages, failures = self._maker.make(fresh)
        self._pairs += zip(good, messages, strict=True)
        self._ids.update(map(id, good))
        with self._transaction.mending():
            failures += self._deliver(reader)
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
                with self._transaction.mending():
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
        self._transaction.close()

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
                self._written = self._confirmed
                continue
            self._transaction.is_doomed = True
            verdicts = self._judged(failed)
            self._transaction.abort()
            if not verdicts:
                tries += 1
                if tries == _TRIES:
                    msg = "the messages of the transaction are not taken"
                    raise TransientError(msg)
            elif len(verdicts) == 1 or all(fails_alone(failed[place]) for place in verdicts):
                failures += [Failure(self._pairs[place][0], verdict) for place, verdict in verdicts.items()]
                self._keep([place not in verdicts for place in range(len(self._pairs))])
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
            self._inside += self._transaction.outbox.put([message for _, message in self._pairs[self._inside : until]])
            if failed := self._transaction.outbox.settle():
                return {self._confirmed + place: error for place, error in failed.items()}
            if self._inside == self._confirmed:
                msg = "the producer has no room for the message"
                raise TransientError(msg)
            self._confirmed = self._inside
        return {}

    def _begin(self, reader: _GroupReader) -> None:
        if self._transaction.is_doomed:
            self._transaction.abort()
        if self._transaction.is_open:
            return
        self._inside = self._confirmed = 0
        owned = [reader.owns(record) for record, _ in self._pairs]
        self._written = sum(owned[: self._written])
        self._keep(owned)
        self._transaction.begin()

    def _keep(self, wanted: Sequence[bool]) -> None:
        """Have only the messages whose place is wanted."""
        self._pairs = list(compress(self._pairs, wanted))
        self._ids = {id(record) for record, _ in self._pairs}

    def _commit(self, reader: _GroupReader, offsets: list[TopicPartition], group: Any) -> None:
        if not all(reader.owns(record) for record, _ in self._pairs):
            # Who has its partition now writes it as well.
            self._transaction.is_doomed = self._transaction.is_open
        if failed := self._fill(reader, len(self._pairs)):
            self._transaction.is_doomed = True
            self._judged(failed)
            msg = "what was written is written once more"
            raise TransientError(msg)
        self._transaction.commit(offsets, group)
        self._keep([])
        self._written = 0
        self._one_by_one = False
