"""What Bytewax stores as one: the memories of all keys that have the same hash, up to a number.

With each epoch Bytewax (0.21) looks through everything that is in a recovery store for what is outdated, and with each
activation through all times at which something is to be done. With an entry for each key that takes half of a CPU at
100,000 keys. Buckets bound the number of entries; each is written as a whole where a key of it was touched.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Any

from flowspec.stateful.contract import Memory

__all__ = ["Bucket", "bucket_of", "count_of_keys"]

_BUCKETS = 2048
"""Part of what is stored: with another number the keys would not be found again."""


def bucket_of(key: str) -> str:
    """The bucket that a key is in, in every process."""
    return f"{zlib.crc32(key.encode('utf-8', 'surrogatepass')) % _BUCKETS:03x}"


def count_of_keys(snapshot: bytes) -> int:
    """How many keys there are in what a bucket has stored."""
    return len(pickle.loads(snapshot))  # noqa: S301 - our own


class Bucket:
    """The memories of the keys of a bucket, and how each is stored, which is made anew when it was touched."""

    def __init__(self, snapshot: bytes | None, build: Callable[[Any | None], Memory[Any]]) -> None:
        """Go on with a snapshot; `build` makes a memory of its state, or an empty one."""
        self._build = build
        self._stored: dict[str, bytes] = {} if snapshot is None else pickle.loads(snapshot)  # noqa: S301 - our own
        self._memories = {key: build(pickle.loads(state)) for key, state in self._stored.items()}  # noqa: S301
        self._touched: set[str] = set()
        self._dues: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        """Times of `dues`, and some that have changed since."""
        for key, memory in self._memories.items():
            self._schedule(key, memory.due())

    def touch(self, key: str) -> Memory[Any]:
        """The memory of a key that is about to be used; it is to be settled then."""
        self._touched.add(key)
        memory = self._memories.get(key)
        if memory is None:
            memory = self._memories[key] = self._build(None)
        return memory

    def settle(self, keys: Iterable[str]) -> None:
        """Note when keys that were used are due, and forget those that have nothing left."""
        for key in keys:
            memory = self._memories[key]
            if memory.is_empty():
                del self._memories[key]
                self._stored.pop(key, None)
                self._dues.pop(key, None)
                self._touched.discard(key)
            else:
                self._schedule(key, memory.due())

    def _schedule(self, key: str, due: float | None) -> None:
        if due is None:
            self._dues.pop(key, None)
        elif self._dues.get(key) != due:
            self._dues[key] = due
            heappush(self._heap, (due, key))

    def due(self) -> float | None:
        """When the first key is due, in seconds since the epoch."""
        while self._heap:
            due, key = self._heap[0]
            if self._dues.get(key) == due:
                return due
            heappop(self._heap)
        return None

    def take_due(self, now: float) -> Iterator[str]:
        """The keys that are due; each is to be settled then."""
        while (due := self.due()) is not None and due <= now:
            _, key = heappop(self._heap)
            del self._dues[key]
            yield key

    def keys(self) -> list[str]:
        """All keys."""
        return list(self._memories)

    def is_empty(self) -> bool:
        """Whether there is no key."""
        return not self._memories

    def snapshot(self) -> bytes:
        """All of it, of which only what was touched is pickled anew."""
        for key in self._touched:
            self._stored[key] = pickle.dumps(self._memories[key].snapshot())
        self._touched.clear()
        return pickle.dumps(self._stored)
