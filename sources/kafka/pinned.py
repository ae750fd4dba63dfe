"""kafka / consume-topics with partitions that stay where they are: what a flow with a recovery store reads."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition

from flowspec.errors import TransientError
from sources.kafka.account import KafkaAccount
from sources.kafka.errors import classify
from sources.kafka.reader import TopicsReader
from sources.kafka.starts import find_starts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Consumer

    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record
    from sources.kafka.trigger import ConsumeTopics

__all__ = ["PinnedReader", "list_known", "list_partitions"]

_log = logging.getLogger(__name__)

_ANSWER_WITHIN = 10.0
_ONLY = 1
"""The number of the only assignment that there is."""


def list_partitions(trigger: ConsumeTopics) -> list[str]:
    """The partitions of the topics as the cluster has them now, like `orders/3`; a cluster that is down is waited for.

    Raises:
        FatalError: a topic does not exist, or may not be read.
    """
    consumer = KafkaAccount.of(trigger.account).consumer("trigger-flows", {"group.id": "trigger-flows"})
    is_down = False
    try:
        while True:
            try:
                return sorted(list_known(consumer, trigger))
            except KafkaException as error:
                meaning = classify(error, ", ".join(trigger.topics) or "topics")
                if not isinstance(meaning, TransientError):
                    raise meaning from error
                if not is_down:
                    _log.warning("the partitions cannot be listed yet and are asked for again: %s", meaning)
                is_down = True
                time.sleep(1.0)
    finally:
        consumer.close()


def list_known(consumer: Consumer, trigger: ConsumeTopics) -> Iterator[str]:
    """The partitions, as one broker knows them.

    Raises:
        KafkaException: it does not say.
    """
    for asked in trigger.topics or (None,):
        for name, topic in consumer.list_topics(asked, timeout=_ANSWER_WITHIN).topics.items():
            if trigger.topic_pattern is None or re.match(trigger.topic_pattern, name):
                if topic.error is not None:
                    raise KafkaException(topic.error)
                yield from (f"{name}/{number}" for number in topic.partitions)


class PinnedReader(TopicsReader):
    """Reads one partition, whoever else reads it: no member of the group, only its offsets are kept there."""

    def __init__(self, trigger: ConsumeTopics, partition: str, resume: Position | None, context: WorkerContext) -> None:
        topic, _, number = partition.rpartition("/")
        self._name = (topic, int(number))
        self._partition = TopicPartition(*self._name)
        self._next: int | None = resume
        super().__init__(trigger, context)

    def position(self) -> Position:
        """The offset of the next message to hand over; None where there was none yet."""
        return self._next

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over messages."""
        records = super().read(most, wait)
        if records:
            self._next = records[-1].meta["offset"] + 1
        return records

    def commit(self, position: Position) -> None:
        """Have the offset committed to the group, so that its lag is seen."""
        super().commit({self._name: (_ONLY, position)})

    def _begin(self) -> bool:
        begin = self._next
        try:
            if begin is None and self._trigger.start != "earliest":
                begin = next(
                    (each.offset for each in find_starts(self._consumer, [self._partition], self._trigger.since)), None
                )
            self._consumer.assign([self._partition if begin is None else TopicPartition(*self._name, begin)])
        except KafkaException as error:
            self._watch.notice(error.args[0])
            self._ending.wait(1.0)
            return False
        self._assignment.add({self._name: None if begin == self._next else begin})
        return True
