"""The partitions that a consumer has, and how far each of them is read, handed over, delivered and committed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from flowspec.delivery.buffer import Buffer
from sources.kafka.messages import Partition, size_of, to_records

if TYPE_CHECKING:
    from confluent_kafka import Message

    from flowspec.records import Record

__all__ = ["Assignment", "Offsets"]

Offsets: TypeAlias = "dict[Partition, tuple[int, int]]"
"""The number of the assignment, and the offset of the next message, of each partition."""


@dataclass(slots=True)
class _Share:
    """A partition that is ours; offsets are those of the next message, None before the first."""

    number: int
    handed: int | None = None
    delivered: int | None = None
    committed: int | None = None


class Assignment:
    """The partitions that are ours at present, and their unread messages; safe to use from any thread.

    A partition that goes and comes back has another number, so that what is said of its earlier time is ignored.
    """

    def __init__(self, count: int, size: int) -> None:
        """Have room for `count` unread messages, and for none while they have `size` bytes or more."""
        self.unread: Buffer[Message] = Buffer(count, size)
        self._shares: dict[Partition, _Share] = {}
        self._numbers: dict[Partition, int] = {}
        self._handed: Offsets = {}
        self._assigned = 0
        self._given_up = False
        # Held while messages are taken and counted as handed over: they are never neither unread nor handed over.
        self._moved = threading.Condition(threading.Lock())

    @property
    def partitions(self) -> list[Partition]:
        """The partitions that are ours."""
        with self._moved:
            return list(self._shares)

    def add(self, starts: Mapping[Partition, int | None]) -> None:
        """Have more partitions, each with the offset to begin at where that is known and not committed yet."""
        with self._moved:
            for partition, start in starts.items():
                self._assigned += 1
                self._shares[partition] = _Share(self._assigned, start, start)
                self._numbers[partition] = self._assigned

    def drop_unread(self, partitions: Collection[Partition]) -> None:
        """Hand over nothing more of these partitions. Only for the thread that puts messages into `unread`."""
        with self._moved:
            for partition in partitions:
                self._numbers.pop(partition, None)
            kept = [each for each in self.unread.clear() if (each.topic(), each.partition()) in self._numbers]
            self.unread.put_batch(kept, size_of(kept))

    def wait_until_delivered(self, partitions: Collection[Partition], timeout: float) -> bool:
        """Wait up to `timeout` seconds until all that was handed over of these partitions is delivered."""
        with self._moved:
            return self._moved.wait_for(lambda: self._given_up or all(map(self._is_delivered, partitions)), timeout)

    def give_up(self) -> None:
        """Have nobody wait any more for what is not delivered: nothing will be."""
        with self._moved:
            self._given_up = True
            self._moved.notify_all()

    def _is_delivered(self, partition: Partition) -> bool:
        share = self._shares.get(partition)
        return share is None or share.delivered == share.handed

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Have these partitions no more: nothing of them may be committed from now on."""
        with self._moved:
            for partition in partitions:
                for offsets in (self._shares, self._numbers, self._handed):
                    offsets.pop(partition, None)

    def read(self, most: int, wait: float, gather: float) -> list[Record]:
        """Hand over unread messages, like `Buffer.take`."""
        if not self.unread.ready(most, wait, gather):
            return []
        with self._moved:
            records, ends = to_records(self.unread.take(most, 0), self._numbers)
            for partition, offset in ends.items():
                share = self._shares[partition]
                share.handed = offset
                self._handed[partition] = (share.number, offset)
        return records

    def position(self) -> Offsets:
        """Where each partition is after what was handed over."""
        with self._moved:
            return self._handed.copy()

    def deliver(self, position: Offsets) -> None:
        """Take note that what was handed over before `position` is delivered, as far as it is ours."""
        with self._moved:
            for partition, share, offset in self._ours(position):
                share.delivered = offset
                # What was told once need not be told again.
                if share.handed == offset:
                    self._handed.pop(partition, None)
            self._moved.notify_all()

    def _ours(self, position: Offsets) -> list[tuple[Partition, _Share, int]]:
        return [
            (partition, share, offset)
            for partition, (number, offset) in position.items()
            if (share := self._shares.get(partition)) is not None and share.number == number
        ]

    def ours(self, position: Offsets) -> dict[Partition, int]:
        """The offsets of `position` that are still ours to commit."""
        with self._moved:
            return {partition: offset for partition, _, offset in self._ours(position)}

    def due(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """The offsets that are delivered and not committed, of all partitions or of some."""
        with self._moved:
            return {
                partition: share.delivered
                for partition, share in self._shares.items()
                if share.delivered is not None
                and share.delivered != share.committed
                and (partitions is None or partition in partitions)
            }

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """Take note that the group knows these offsets."""
        with self._moved:
            for partition, offset in offsets.items():
                if partition in self._shares:
                    self._shares[partition].committed = offset

    def skip(self, positions: Mapping[Partition, int]) -> None:
        """Count what the consumer passed over as delivered, where nothing is unread or in the flow.

        A topic that is written in transactions has entries that are no messages; the group's offset passes them, too.
        """
        with self._moved:
            if len(self.unread):
                return
            for partition, offset in positions.items():
                share = self._shares.get(partition)
                if share is not None and share.handed == share.delivered and offset > (share.handed or 0):
                    share.handed = share.delivered = offset

    def owns(self, record: Record) -> bool:
        """Whether the partition that a record was handed over from is still ours, since then."""
        partition = (record.meta["topic"], record.meta["partition"])
        with self._moved:
            share = self._shares.get(partition)
            return share is not None and share.number == record.meta["assignment"]
