"""A page of records of files, as it is being filled."""

from __future__ import annotations

from flowspec.records import Record

__all__ = ["Filling"]

_MOST_BYTES = 8 * 1024 * 1024


class Filling:
    """Records, up to a number of them and of bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self.records: list[Record] = []

    @property
    def is_full(self) -> bool:
        """Whether no more are to come."""
        return len(self.records) >= self._most or self._bytes >= _MOST_BYTES

    def add(self, record: Record) -> None:
        """Add the next one."""
        self.records.append(record)
        self._bytes += len(record.raw)
