"""The bounded buffer between a reader's I/O threads and its Bytewax worker."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Buffer"]

T = TypeVar("T")


@dataclass(slots=True)
class _Arrival:
    """Items that came together: what is kept of each item would cost more than the item itself."""

    at: float
    count: int
    size: float


class Buffer(Generic[T]):
    """Items that were received and not yet taken, bounded by count and by bytes; safe to use from any thread.

    Whoever receives reserves room before it asks its system for more, so that the bound on the count is exact. The
    size of what comes is not known before, so the bytes may go over by what the receives under way bring.
    """

    def __init__(self, count: float = float("inf"), size: float = float("inf")) -> None:
        """Have room for `count` items, and for none while those that are here have `size` bytes or more."""
        self._count = count
        self._size = size
        self._items: deque[T] = deque()
        self._arrivals: deque[_Arrival] = deque()
        self._bytes = 0.0
        self._reserved = 0
        self._error: Exception | None = None
        # Two of one lock, so that nobody is woken for nothing: each wake-up takes the GIL from a thread that works.
        lock = threading.Lock()
        self._arrived = threading.Condition(lock)
        self._room = threading.Condition(lock)

    def __len__(self) -> int:
        return len(self._items)

    def reserve(self, count: int, timeout: float) -> bool:
        """Wait up to `timeout` seconds for room for `count` items; `release` it when what came was `put`."""
        with self._room:
            if not self._room.wait_for(lambda: self._has_room(count), timeout):
                return False
            self._reserved += count
            return True

    def _has_room(self, count: int) -> bool:
        return self._bytes < self._size and len(self._items) + self._reserved + count <= self._count

    def release(self, count: int) -> None:
        """Give back room that was reserved: what came is in the buffer, or nothing came."""
        with self._room:
            self._reserved -= count
            self._room.notify_all()

    def put(self, items: Iterable[tuple[T, int]]) -> None:
        """Add items, each with its size in bytes."""
        pairs = list(items)
        self.put_batch([item for item, _ in pairs], sum(size for _, size in pairs))

    def put_batch(self, items: Collection[T], size: int) -> None:
        """Add items that have `size` bytes together."""
        if not items:
            return
        arrival = _Arrival(time.monotonic(), len(items), size)
        with self._arrived:
            self._items.extend(items)
            self._arrivals.append(arrival)
            self._bytes += size
            self._arrived.notify_all()

    def fail(self, error: Exception) -> None:
        """Have `take` raise `error` from now on: no more items will come."""
        with self._arrived:
            self._error = self._error or error
            self._arrived.notify_all()

    def ready(self, most: int, wait: float, gather: float = 0.0) -> bool:
        """Wait like `take`, and take nothing; answers whether items are ready."""
        with self._arrived:
            return self._wait_until_ready(most, wait, gather)

    def take(self, most: int, wait: float, gather: float = 0.0) -> list[T]:
        """Take the oldest items, at most `most`.

        Items are ready when there are `most` of them, or when the oldest has been here for `gather` seconds.

        Args:
            most: How many to take at most.
            wait: How many seconds to wait until items are ready.
            gather: How many seconds an item waits for company.

        Raises:
            Exception: what `fail` was given.
        """
        with self._arrived:
            if not self._wait_until_ready(most, wait, gather):
                return []
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._leave(len(taken))
            self._room.notify_all()
        return taken

    def _wait_until_ready(self, most: int, wait: float, gather: float) -> bool:
        until = time.monotonic() + wait
        while self._error is None and (delay := self._ready_in(most, gather)) > 0:
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._arrived.wait(min(left, delay))
        if self._error is not None:
            raise self._error
        return True

    def _ready_in(self, most: int, gather: float) -> float:
        if not self._items:
            return float("inf")
        if len(self._items) >= most:
            return 0.0
        return self._arrivals[0].at + gather - time.monotonic() if gather else 0.0

    def _leave(self, count: int) -> None:
        """Have the oldest `count` items counted no more; of those that came together each counts the same."""
        while count:
            oldest = self._arrivals[0]
            if oldest.count <= count:
                self._arrivals.popleft()
                self._bytes -= oldest.size
                count -= oldest.count
            else:
                share = oldest.size * count / oldest.count
                oldest.size -= share
                oldest.count -= count
                self._bytes -= share
                count = 0

    def clear(self) -> list[T]:
        """Take everything, ready or not."""
        with self._room:
            taken = list(self._items)
            self._items.clear()
            self._arrivals.clear()
            self._bytes = 0.0
            self._room.notify_all()
        return taken
