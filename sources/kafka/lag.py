"""How many messages a consumer has not taken yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

if TYPE_CHECKING:
    from confluent_kafka import Consumer

__all__ = ["asked_lag", "fetched_lag"]

_ANSWER_WITHIN = 2.0


def fetched_lag(consumer: Consumer, positions: Sequence[TopicPartition]) -> int:
    """What the last fetches say; nobody is asked. A partition of which nothing was fetched yet does not count."""
    return sum(
        max(0, consumer.get_watermark_offsets(each, cached=True)[1] - each.offset)
        for each in positions
        if each.offset >= 0
    )


def asked_lag(consumer: Consumer, positions: Sequence[TopicPartition]) -> int:
    """What the broker says, which is asked about each partition: for partitions that are paused.

    Raises:
        KafkaException: it does not say.
    """
    not_begun = [TopicPartition(each.topic, each.partition) for each in positions if each.offset < 0]
    begun = [each for each in positions if each.offset >= 0]
    if not_begun:
        begun += consumer.committed(not_begun, _ANSWER_WITHIN)
    lag = 0
    for each in begun:
        low, high = consumer.get_watermark_offsets(each, _ANSWER_WITHIN)
        lag += max(0, high - max(low, each.offset))
    return lag
