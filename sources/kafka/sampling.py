"""Looking at the messages that a flow would read next, outside of its group."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from sources.kafka.account import KafkaAccount
from sources.kafka.errors import classify
from sources.kafka.looking import cluster
from sources.kafka.messages import Partition, to_records
from sources.kafka.pinned import list_known
from sources.kafka.starts import find_starts

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from flowspec.records import Record
    from sources.kafka.trigger import ConsumeTopics

__all__ = ["sample"]

_POLL = 0.1
_QUIET = 1.0
"""Seconds without a message after which no more are waited for, once there are some."""
_ONLY = 1
"""The number of the only assignment that there is."""


def sample(trigger: ConsumeTopics, flow: str, most: int, wait: float) -> list[Record]:
    """The records of the messages after the offsets of the group, or else from where the flow would begin.

    The consumer has the group's name, to be told its offsets; it never joins the group, and commits nothing.

    Raises:
        TransientError: the cluster cannot be reached at present.
        FatalError: a topic does not exist, or it or the group may not be used.
    """
    account = KafkaAccount.of(trigger.account)
    errors: list[KafkaError] = []
    settings: dict[str, Any] = {
        "group.id": trigger.group or flow,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": trigger.isolation,
        "fetch.wait.max.ms": 50,
        "error_cb": errors.append,
    }
    with closing(account.consumer(f"{flow}-sample", settings)) as consumer:
        cluster(consumer, errors, account.servers)
        try:
            partitions = _assign(consumer, trigger)
            messages = _consume(consumer, partitions, most, wait) if partitions else []
        except KafkaException as error:
            raise classify(error, ", ".join(trigger.topics) or "topics") from error
        records, _ = to_records(messages, dict.fromkeys(partitions, _ONLY))
    return records


def _assign(consumer: Consumer, trigger: ConsumeTopics) -> list[Partition]:
    names = [name.rpartition("/") for name in list_known(consumer, trigger)]
    partitions = [(topic, int(number)) for topic, _, number in names]
    asked = [TopicPartition(*partition) for partition in partitions]
    # Without an offset of its own a partition begins at that of the group, or else at its beginning.
    begins: dict[Partition, TopicPartition] = {(each.topic, each.partition): each for each in asked}
    if asked and trigger.start != "earliest":
        begins.update({(each.topic, each.partition): each for each in find_starts(consumer, asked, trigger.since)})
    consumer.assign(list(begins.values()))
    return partitions


def _consume(consumer: Consumer, partitions: list[Partition], most: int, wait: float) -> list[Message]:
    messages: list[Message] = []
    unread = set(partitions)
    until = time.monotonic() + wait
    while len(messages) < most and not (messages and not unread):
        message = consumer.poll(_POLL)
        error = None if message is None else message.error()
        if message is None or error is not None:
            if message is not None and error is not None:
                if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                    raise KafkaException(error)
                unread.discard((message.topic() or "", message.partition() or 0))
            if time.monotonic() >= until:
                break
            continue
        messages.append(message)
        until = time.monotonic() + _QUIET
    return messages
