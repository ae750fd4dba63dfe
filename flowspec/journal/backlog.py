"""What is still to be written to a journal."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowspec.journal.store import Chunk

__all__ = ["Backlog", "Gap"]


@dataclass
class Gap:
    """Executions that are lost to the journal."""

    since: float
    """When the first was dropped, in seconds since the epoch."""
    until: float
    """When the last was."""
    lost: int = 0
    """Those that the journal does not know of yet."""
    total: int = 0


class Backlog:
    """A bounded queue between a worker, which never waits, and the thread that writes: the oldest is dropped."""

    def __init__(self, most: int, most_bytes: int) -> None:
        """Hold `most` executions at most, and `most_bytes` of them."""
        self._most = most
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._chunks: deque[Chunk] = deque()
        self._count = 0
        self._bytes = 0
        self.gap: Gap | None = None
        """What was dropped, as long as it goes on."""

    def __len__(self) -> int:
        return self._count

    def add(self, chunk: Chunk) -> None:
        """Add the newest."""
        with self._lock:
            self._chunks.append(chunk)
            self._weigh(chunk, 1)
            self._drop()

    def take(self, most: int) -> list[Chunk]:
        """The oldest chunks, about `most` executions."""
        taken: list[Chunk] = []
        with self._lock:
            while self._chunks and most > 0:
                chunk = self._chunks.popleft()
                self._weigh(chunk, -1)
                taken.append(chunk)
                most -= chunk.count
        return taken

    def put_back(self, chunks: Sequence[Chunk]) -> None:
        """Take back what could not be written."""
        with self._lock:
            self._chunks.extendleft(reversed(chunks))
            for chunk in chunks:
                self._weigh(chunk, 1)
            self._drop()

    def noted(self, lost: int) -> None:
        """The journal knows of so many lost ones."""
        with self._lock:
            if self.gap is not None:
                self.gap.lost -= lost

    def end_gap(self, quiet: float) -> int:
        """End the gap if all of it is noted, and nothing was dropped for `quiet` seconds; answers how many it has."""
        with self._lock:
            if self.gap is None or self.gap.lost or time.time() - self.gap.until < quiet:
                return 0
            ended, self.gap = self.gap, None
            return ended.total

    def _weigh(self, chunk: Chunk, sign: int) -> None:
        self._count += sign * chunk.count
        self._bytes += sign * chunk.size

    def _drop(self) -> None:
        while self._chunks and (self._count > self._most or self._bytes > self._most_bytes):
            chunk = self._chunks.popleft()
            self._weigh(chunk, -1)
            now = time.time()
            self.gap = self.gap or Gap(now, now)
            self.gap.until = now
            self.gap.lost += chunk.count
            self.gap.total += chunk.count
