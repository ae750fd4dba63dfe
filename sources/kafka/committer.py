"""Telling the group what is delivered."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from flowspec.errors import FatalError, FlowError
from sources.kafka.errors import classify

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from sources.kafka.assignment import Assignment
    from sources.kafka.messages import Partition

__all__ = ["Committer", "as_partitions"]

_EVERY = 0.1
"""Seconds between two commits; what a crash has delivered again is at most what is delivered in that time."""
_PATIENCE = 5.0
"""Seconds for which commits may fail before the trigger counts as down: a rebalance passes, and a new coordinator."""


class Committer:
    """Commits what is delivered, one call at a time, so that no offset overtakes a later one.

    Each commit names who made it in its metadata, where the tools of Kafka show it. Only for the thread that polls.
    """

    def __init__(self, assignment: Assignment, name: str) -> None:
        """Commit the offsets of `assignment`; `name` is the client's where the group has given it no member id."""
        self._assignment = assignment
        self._name = name
        self._under_way = False
        self._commit_at = 0.0
        self._failing_since: float | None = None
        self.off = False
        """Whether someone else commits."""
        self.error: FlowError | None = None
        """Why the last commit failed; None where it did not."""

    @property
    def fails(self) -> bool:
        """Whether commits have failed for so long that it does not look like passing."""
        since = self._failing_since
        return since is not None and time.monotonic() - since > _PATIENCE

    def commit_some(self, consumer: Consumer) -> None:
        """Have what is delivered committed in the background, a few times per second.

        Raises:
            FatalError: the last one failed for good.
        """
        if isinstance(self.error, FatalError):
            raise self.error
        now = time.monotonic()
        if self.off or self._under_way or now < self._commit_at or not (due := self._assignment.due()):
            return
        self._commit_at = now + _EVERY
        try:
            consumer.commit(offsets=self._named(consumer, due), asynchronous=True)
            self._under_way = True
        except KafkaException as error:
            self._answered(error.args[0], [])

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """What came of a commit in the background; called while the consumer is polled."""
        self._under_way = False
        self._answered(error, partitions)

    def commit(self, consumer: Consumer, partitions: Collection[Partition] | None = None) -> bool:
        """Commit what is delivered, of all partitions or of some; answers whether the group knows all of it.

        What is under way in the background is committed once more: with the answer to the later one, the broker has
        done with both.
        """
        if self.off or not (due := self._assignment.due(partitions)):
            return True
        try:
            self._answered(None, consumer.commit(offsets=self._named(consumer, due), asynchronous=False))
        except KafkaException as error:
            self._answered(error.args[0], [])
        return self.error is None

    def _named(self, consumer: Consumer, offsets: dict[Partition, int]) -> list[TopicPartition]:
        return as_partitions(offsets, consumer.memberid() or self._name)

    def _answered(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is None:
            good = {(each.topic, each.partition): each.offset for each in partitions if each.error is None}
            self._assignment.committed(good)
            error = next((each.error for each in partitions if each.error is not None), None)
        self.error = None if error is None else classify(error, "commit")
        if self.error is None:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = time.monotonic()


def as_partitions(offsets: dict[Partition, int], metadata: str = "") -> list[TopicPartition]:
    """Offsets as confluent-kafka has them."""
    return [TopicPartition(topic, partition, offset, metadata) for (topic, partition), offset in offsets.items()]
