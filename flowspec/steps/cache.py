"""Remembering a bounded number of things for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Cache"]

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by their keys, each for a time of its own; the least recently used make room."""

    def __init__(self, entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember at most so many; `clock` tells the seconds."""
        self._most = entries
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, default: Value) -> Value:
        """The value of a key, or `default`."""
        entry = self._entries.get(key)
        if entry is None:
            return default
        until, value = entry
        if self._clock() >= until:
            del self._entries[key]
            return default
        self._entries.move_to_end(key)
        return value

    def put(self, key: Hashable, value: Value, seconds: float) -> None:
        """Remember a value for so long."""
        self._entries[key] = self._clock() + seconds, value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
