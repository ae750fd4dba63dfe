"""Records that wait in a memory, and go on later as they are."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from flowspec.errors import RecordError

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["Waiting", "kept", "packed", "unpacked"]


def kept(record: Record) -> Record:
    """A record as a part of the state: the letter that it was taken from, where it was one, is removed by then."""
    trace = record.trace
    if trace is None or trace.letter is None:
        return record
    return replace(record, trace=replace(trace, letter=None))


def packed(record: Record) -> bytes:
    """A record as it waits: pickled once, however often the state is stored.

    Raises:
        RecordError: it cannot be stored.
    """
    try:
        # What a `python` step has put into a body may fail in any way.
        return pickle.dumps(kept(record), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        msg = f"it cannot wait, for there is something in it that cannot be stored: {error}"
        raise RecordError(msg) from error


def unpacked(packed: bytes) -> Record:
    """The record that was packed."""
    record: Record = pickle.loads(packed)  # noqa: S301 - our own
    return record


class Waiting:
    """The records that wait under one key, in order."""

    def __init__(self, packed: Iterable[bytes] = ()) -> None:
        """Go on with what `packed` answered."""
        self._packed = deque(packed)

    def __len__(self) -> int:
        return len(self._packed)

    def add(self, record: Record) -> None:
        """Have a record wait.

        Raises:
            RecordError: it cannot be stored.
        """
        self._packed.append(packed(record))

    def taken(self, most: int) -> list[Record]:
        """The first ones, which wait no longer."""
        count = min(most, len(self._packed))
        return [unpacked(self._packed.popleft()) for _ in range(count)]

    def packed(self) -> tuple[bytes, ...]:
        """All of them, as they are to be stored."""
        return tuple(self._packed)
