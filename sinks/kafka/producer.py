"""The writer of kafka / produce: what a batch becomes, and what came of each of its messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Failure, Record
from sinks.kafka.messages import Message, MessageMaker
from sinks.kafka.outbox import Outbox, ProducerLostError
from sources.kafka.account import KafkaAccount
from sources.kafka.errors import classify, is_unknown_topic

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from sinks.kafka.produce import Produce

__all__ = ["PlainProducer", "Verdicts", "fails_alone"]

_ALONE = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""With other errors all messages of a call fail, for the sake of one."""


def fails_alone(error: KafkaError) -> bool:
    """Whether a message fails so by itself, never for the sake of others of its call."""
    return error.code() in _ALONE


class Verdicts:
    """What the errors of messages mean for the records that they were made of."""

    def __init__(self, action: Produce) -> None:
        self._one_topic = action.has_one_topic

    def of(self, error: KafkaError, message: Message) -> RecordError | TransientError:
        """What an error means for one record.

        Raises:
            FatalError: it is one for all of them.
        """
        topic, _, _, partition, _ = message
        where = f"topic {topic!r}" + (f", partition {partition}" if partition >= 0 else "")
        meaning = classify(error, where)
        if not isinstance(meaning, FatalError):
            return meaning
        about_topic = is_unknown_topic(error) or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        if about_topic and not self._one_topic:
            return RecordError(str(meaning))
        raise meaning


class PlainProducer:
    """Writes with an idempotent producer."""

    def __init__(self, action: Produce, context: WorkerContext) -> None:
        self._account = KafkaAccount.of(action.account)
        self._context = context
        # What is not confirmed in time stays with the producer: one that gave up would let later messages overtake.
        self._settings = {"compression.type": action.compression, "message.timeout.ms": 0}
        self._maker = MessageMaker(action)
        self._verdicts = Verdicts(action)
        self._outbox = self._new_outbox()
        self._records: list[Record] = []
        self._messages: list[Message] = []
        """What is in the outbox, by its place there."""

    def _new_outbox(self) -> Outbox:
        name = f"{self._context.flow}-{self._context.worker}"
        return Outbox(self._account, name, self._settings, self._context)

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Produce records, those apart that are still with the producer, and wait for all of them."""
        known = set(map(id, self._records))
        fresh = [record for record in records if id(record) not in known] if known else records
        good, messages, failures = self._maker.make(fresh)
        try:
            return failures + self._deliver(good, messages)
        except ProducerLostError as error:
            self._outbox.close()
            self._outbox = self._new_outbox()
            self._taken()
            raise TransientError(str(error)) from error

    def close(self) -> None:
        """Give up what is not confirmed, and free everything."""
        self._outbox.close()

    def _deliver(self, records: Sequence[Record], messages: Sequence[Message]) -> list[Failure]:
        taken = self._put(records, messages)
        try:
            failures = self._settle()
        except TransientError as error:
            return [Failure(record, error) for record in (*self._records, *records[taken:])]
        full = TransientError("the producer has no more room")
        return failures + [Failure(record, full) for record in records[taken:]]

    def _put(self, records: Sequence[Record], messages: Sequence[Message]) -> int:
        taken = self._outbox.put(messages)
        self._records += records[:taken]
        self._messages += messages[:taken]
        return taken

    def _taken(self) -> tuple[list[Record], list[Message]]:
        """What was in the outbox, which is empty."""
        taken = self._records, self._messages
        self._records, self._messages = [], []
        return taken

    def _settle(self) -> list[Failure]:
        failed = self._outbox.settle()
        records, messages = self._taken()
        failures = []
        behind = False
        for place in range(min(failed), len(records)) if failed else ():
            record, message = records[place], messages[place]
            if place in failed:
                verdict = self._verdicts.of(failed[place], message)
                if isinstance(verdict, RecordError) and (len(failed) == 1 or fails_alone(failed[place])):
                    failures.append(Failure(record, verdict))
                    continue
            elif not behind:
                continue
            # Alone it fails only for its own sake. What is behind one that does not fail follows it once more.
            try:
                own = self._alone(record, message)
            except TransientError as error:
                return failures + [Failure(each, error) for each in records[place:]]
            if own is None:
                behind = True
            else:
                failures.append(Failure(record, own))
        return failures

    def _alone(self, record: Record, message: Message) -> RecordError | None:
        """Produce one message; answers why it cannot be.

        Raises:
            TransientError: it cannot be at present.
        """
        self._put([record], [message])
        failed = self._outbox.settle()
        self._taken()
        if not failed:
            return None
        verdict = self._verdicts.of(failed[0], message)
        if isinstance(verdict, TransientError):
            raise verdict
        return verdict
