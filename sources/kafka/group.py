"""kafka / consume-topics as a member of a consumer group: the partitions come and go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicPartition

from flowspec.errors import FatalError
from sources.kafka.errors import classify, is_unknown_topic
from sources.kafka.reader import TopicsReader
from sources.kafka.starts import find_starts

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from flowspec.connectors import WorkerContext
    from sources.kafka.messages import Partition
    from sources.kafka.trigger import ConsumeTopics

__all__ = ["GroupReader"]


class GroupReader(TopicsReader):
    """Reads the partitions that the group gives to this worker."""

    def __init__(self, trigger: ConsumeTopics, context: WorkerContext) -> None:
        self._joined = False
        super().__init__(trigger, context)

    def _settings(self, context: WorkerContext) -> dict[str, Any]:
        settings = {**super()._settings(context), "partition.assignment.strategy": "cooperative-sticky"}
        if self._trigger.instance_id is not None:
            number = f"-{context.worker}" if context.workers > 1 else ""
            settings["group.instance.id"] = self._trigger.instance_id + number
        return settings

    def _begin(self) -> bool:
        self._consumer.subscribe(
            self._trigger.subscription, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        return True

    # These three are called inside a poll. The binding then tells librdkafka of the new assignment where they do not.

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        starts: dict[Partition, int | None] = dict.fromkeys(_names(partitions))
        # A partition that is new since we joined has no message from before that: all of it is read.
        if self._trigger.start == "earliest" or (self._trigger.start == "latest" and self._joined):
            self._assignment.add(starts)
        else:
            found = self._find_starts(partitions)
            starts.update({(each.topic, each.partition): each.offset for each in found})
            self._assignment.add(starts)
            # Committed at once, so that a crash before the first message does not move the start.
            self._committer.commit(consumer, starts)
            self._assign(
                [TopicPartition(*name) if at is None else TopicPartition(*name, at) for name, at in starts.items()]
            )
        self._joined = True
        self._watch.heard()

    def _find_starts(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        while not self._ending.is_set():
            try:
                return find_starts(self._consumer, partitions, self._trigger.since)
            except KafkaException as error:
                meaning = classify(error, "start")
                if isinstance(meaning, FatalError) and not is_unknown_topic(error.args[0]):
                    raise meaning from error
                self._health.down(meaning)
                self._ending.wait(1.0)
        return []

    def _assign(self, partitions: list[TopicPartition]) -> None:
        try:
            self._consumer.incremental_assign(partitions)
        except KafkaException:
            # The strategy of the account's properties is not a cooperative one.
            self._consumer.assign(partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        names = _names(partitions)
        self._assignment.drop_unread(names)
        self._ask_for_membership()
        self._assignment.wait_until_delivered(names, self._patience)
        self._committer.commit(consumer, names)
        self._forget(names)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        names = _names(partitions)
        self._assignment.drop_unread(names)
        self._forget(names)

    def _forget(self, names: Collection[Partition]) -> None:
        self._assignment.forget(names)
        self._paused.difference_update(names)


def _names(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [(each.topic, each.partition) for each in partitions]
