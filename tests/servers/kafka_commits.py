"""What members of groups have committed, as the broker keeps it: every single commit, in order."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter

from tests.servers.kafka import KafkaBroker

__all__ = ["Commit", "check_owners", "commits"]

_TOPIC = "__consumer_offsets"
_KEY_VERSIONS = (0, 1)
"""Of keys of commits; the others are about groups."""


@dataclass(frozen=True)
class Commit:
    """One offset of one partition."""

    partition: int
    offset: int
    member: str


class _Bytes:
    """Reads Kafka's encoding. Source: `OffsetCommitKey.json` and `OffsetCommitValue.json` of Apache Kafka."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(">" + form, self._data, self._at)
        self._at += struct.calcsize(">" + form)
        return int(value)

    def text(self) -> str:
        length = self.number("h")
        self._at += length
        return self._data[self._at - length : self._at].decode()


def commits(kafka: KafkaBroker, group: str, topic: str) -> list[Commit]:
    """All commits of a group for a topic; those of a partition are in order."""
    found = []
    for message in kafka.consume(_TOPIC):
        key, value = message.key(), message.value()
        assert key is not None
        name = _Bytes(key)
        if name.number("h") not in _KEY_VERSIONS or value is None or (name.text(), name.text()) != (group, topic):
            continue
        partition, content = name.number("i"), _Bytes(value)
        assert content.number("h") == 3, "the version that has the leader's epoch and no expiry"
        offset, _ = content.number("q"), content.number("i")
        found.append(Commit(partition, offset, content.text()))
    return found


def check_owners(history: Iterable[Commit]) -> None:
    """See that each partition had one owner at a time, and that its offset never went back.

    Members may lose a partition and have it again, but no two of them twice in turn: then one has committed what was
    the other's. That holds where, of any two members, one at most has the partition more than once.
    """
    for partition, made in groupby(sorted(history, key=attrgetter("partition")), attrgetter("partition")):
        ordered = list(made)
        offsets = [commit.offset for commit in ordered]
        assert offsets == sorted(offsets), f"the offset of partition {partition} went back"
        owners = [member for member, _ in groupby(commit.member for commit in ordered)]
        changes = list(pairwise(owners))
        assert len(changes) == len(set(changes)), f"commits to partition {partition} of who had lost it: {owners}"
