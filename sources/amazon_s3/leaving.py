"""The objects that are to be deleted when they are delivered."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from sources.amazon_s3.bucket import Bucket, Stored

__all__ = ["Leaving", "left_of"]

Left: TypeAlias = "tuple[str, str, int]"
"""Key, ETag, and the second of the last modification."""

_log = logging.getLogger(__name__)


class Leaving:
    """Objects that were read, until they are deleted."""

    CALLS = 4
    """Objects that are deleted at the same time."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(self.CALLS, "s3-deleter")
        self._objects: dict[Left, None] = {}
        self._left: frozenset[Left] = frozenset()
        """Those that are gone, of what was settled last."""

    def begin(self, saved: Iterable[Any]) -> None:
        """Begin with what a state was."""
        self._objects = dict.fromkeys(map(_left, saved))

    def add(self, stored: Stored) -> None:
        """Take note that an object was read."""
        self._objects[left_of(stored)] = None

    def state(self) -> list[Any]:
        """Those that are not deleted yet, in what JSON has."""
        for left in self._left:
            self._objects.pop(left, None)
        return [list(each) for each in self._objects]

    def settle(self, delivered: Iterable[Any]) -> None:
        """Delete objects; called on another thread than the rest.

        Raises:
            TransientError: not all could be deleted.
        """
        objects = [_left(each) for each in delivered]
        # A list, so that the first error is raised here.
        list(self._pool.map(self._delete, [each for each in objects if each not in self._left]))
        self._left = frozenset(objects)

    def close(self) -> None:
        """Free the threads."""
        self._pool.shutdown()

    def _delete(self, each: Left) -> None:
        key = each[0]
        found = self._bucket.find(key)
        if found is None:
            return
        if left_of(found) == each:
            self._bucket.delete(key)
        else:
            _log.info("%s/%s was replaced after it was read, and stays", self._bucket.url, key)


def left_of(stored: Stored) -> Left:
    """What makes an object the one that was read."""
    return stored.key, stored.etag, stored.second


def _left(saved: Any) -> Left:
    key, etag, second = saved
    return key, etag, second
