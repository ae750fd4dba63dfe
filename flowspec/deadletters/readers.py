"""Readers of the dead-letter store: what failed makes its way through the flow once more."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from flowspec.errors import FatalError
from flowspec.records import Position, Record, Trace

if TYPE_CHECKING:
    from flowspec.connectors import Reader
    from flowspec.deadletters.letter import Letter
    from flowspec.deadletters.store import LetterStore

__all__ = ["LetterReader", "RetryingReader", "StoreLock"]

_LOOK = 0.5
"""Seconds between two looks for letters that are due."""


class StoreLock:
    """The right to take letters out of a store; the operating system ends it with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Take it if nobody has it; answers whether it is ours.

        Raises:
            FatalError: the state directory cannot be written.
        """
        if self._file is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            msg = f"{self._path} cannot be used: {error.strerror or error}"
            raise FatalError(msg) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def free(self) -> None:
        """Leave it to others."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _OnTheWay:
    """Letters that are in the flow; when they are delivered, and have not failed again, the store forgets them."""

    def __init__(self, store: LetterStore, sinks: Collection[str]) -> None:
        self._store = store
        self._sinks = sinks
        self._open: list[Letter] = []
        """Those that were handed out since the last position."""
        self._closed: list[Letter] = []

    @property
    def ids(self) -> set[int]:
        return {letter.id for letter in (*self._open, *self._closed)}

    def hand_out(self, letters: list[Letter]) -> list[Record]:
        """Their records, as the trigger once handed them over."""
        self._open += letters
        for letter in letters:
            if letter.sink not in self._sinks:
                # It has another name now, or is gone.
                letter.sink = ""
        return [_as_received(letter) for letter in letters]

    def close(self) -> None:
        """Take note of a position."""
        self._closed += self._open
        self._open = []

    def delivered(self) -> None:
        """Everything up to the last position is delivered, or has failed again."""
        done, self._closed = self._closed, []
        self._store.remove([letter.id for letter in done if not letter.has_failed_again])


class RetryingReader:
    """The reader of a trigger, with the letters in between that are due to be tried again."""

    def __init__(self, reader: Reader, store: LetterStore, sinks: Collection[str]) -> None:
        self._reader = reader
        self._store = store
        self.lock = StoreLock(store.path.with_suffix(".retrying.lock"))
        """Whoever has it hands out letters; to be freed however the flow ends."""
        self._way = _OnTheWay(store, sinks)
        self._look_at = 0.0
        self._has_ended = self._is_stopped = False

    def read(self, most: int, wait: float) -> list[Record]:
        """Letters that are due, or else what the trigger has."""
        now = time.monotonic()
        if now >= self._look_at:
            if letters := self._due(most):
                return self._way.hand_out(letters)
            self._look_at = now + _LOOK
        if not self._has_ended:
            try:
                return self._reader.read(most, wait)
            except StopIteration:
                self._has_ended = True
        if not self.is_waiting():
            raise StopIteration
        # The trigger has ended, and some of its records are still to be tried again.
        time.sleep(wait)
        return []

    def _due(self, most: int) -> list[Letter]:
        return self._store.due(most, self._way.ids) if self.is_waiting() else []

    def is_waiting(self) -> bool:
        """Whether there are letters that this reader is going to hand out, now or later."""
        return not self._is_stopped and self._store.waiting() > 0 and self.lock.take()

    def position(self) -> Position:
        """The trigger's own: letters have none."""
        self._way.close()
        return self._reader.position()

    def commit(self, position: Position) -> None:
        """Tell the trigger, and forget letters that are delivered."""
        self._reader.commit(position)
        self._way.delivered()

    def stop(self) -> None:
        """Take nothing more."""
        self._is_stopped = self._has_ended = True
        self._reader.stop()

    def close(self, timeout: float) -> None:
        """Close the reader of the trigger as well."""
        self._reader.close(timeout)
        self.lock.free()


class LetterReader:
    """Hands out letters once, and ends: a replay."""

    def __init__(self, store: LetterStore, letters: Iterator[Letter], sinks: Collection[str]) -> None:
        self._letters = letters
        self._way = _OnTheWay(store, sinks)

    def read(self, most: int, wait: float) -> list[Record]:
        """The next ones."""
        letters = list(islice(self._letters, most))
        if not letters:
            raise StopIteration
        return self._way.hand_out(letters)

    def position(self) -> Position:
        """There is none."""
        self._way.close()

    def commit(self, position: Position) -> None:
        """Forget letters that are delivered."""
        self._way.delivered()

    def stop(self) -> None:
        """Hand out no more."""
        self._letters = iter(())

    def close(self, timeout: float) -> None:
        """Nothing is open."""


def _as_received(letter: Letter) -> Record:
    record, known = letter.record, letter.record.trace or Trace()
    trace = Trace(known.body, after=known.after, side=known.side, letter=letter)
    # What a step with a memory made has its External ID from there.
    external_id = record.external_id if known.after else None
    return Record(record.raw, trace.body, record.meta, record.key, record.headers, external_id, trace)
