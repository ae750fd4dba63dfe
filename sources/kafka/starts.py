"""Where to begin partitions that the group has no offset of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_INVALID, KafkaException, TopicPartition

if TYPE_CHECKING:
    from confluent_kafka import Consumer

__all__ = ["find_starts"]

_ANSWER_WITHIN = 10.0


def find_starts(
    consumer: Consumer, partitions: Sequence[TopicPartition], since: datetime | None
) -> list[TopicPartition]:
    """Those of `partitions` that the group has no offset of, with that of the first message since a time.

    Args:
        consumer: Who asks.
        partitions: What is asked about.
        since: The time; None for messages that are still to come.

    Raises:
        KafkaException: the cluster does not say.
    """
    known = _answered(consumer.committed([_named(each) for each in partitions], _ANSWER_WITHIN))
    new = [_named(each) for each in known if each.offset == OFFSET_INVALID]
    if since is not None and new:
        milliseconds = int(since.timestamp() * 1000)
        asked = [TopicPartition(each.topic, each.partition, milliseconds) for each in new]
        new = _answered(consumer.offsets_for_times(asked, _ANSWER_WITHIN))
    # Where no message is that young, the answer is not an offset.
    return [each if each.offset >= 0 else _at_end(consumer, each) for each in new]


def _named(partition: TopicPartition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)


def _at_end(consumer: Consumer, partition: TopicPartition) -> TopicPartition:
    _, high = consumer.get_watermark_offsets(partition, _ANSWER_WITHIN)
    return TopicPartition(partition.topic, partition.partition, high)


def _answered(partitions: list[TopicPartition]) -> list[TopicPartition]:
    for partition in partitions:
        if partition.error is not None:
            raise KafkaException(partition.error)
    return partitions
