"""Reads small objects ahead, several at the same time, so that the network's latency is not paid for each."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice

from sources.amazon_s3.bucket import Bucket, Stored
from sources.amazon_s3.opened import FetchedFile, ObjectFile

__all__ = ["Fetcher"]

_SMALL = 1024 * 1024
"""Bytes of an object that is read as a whole; a larger one is streamed."""


class Fetcher:
    """Opens objects; of those that come next it reads the small ones already."""

    def __init__(self, bucket: Bucket, readers: int) -> None:
        """Read up to `readers` objects at the same time, and hold that many."""
        self._bucket = bucket
        self._readers = readers
        self._pool = ThreadPoolExecutor(readers, "s3-reader")
        self._ahead: dict[Stored, Future[FetchedFile]] = {}

    def prepare(self, coming: Iterable[Stored]) -> None:
        """Begin to read the first of the objects that are going to be opened, in this order."""
        for stored in islice(coming, self._readers):
            if stored.size <= _SMALL and stored not in self._ahead:
                self._ahead[stored] = self._pool.submit(self._fetch, stored)

    def open(self, stored: Stored, offset: int) -> FetchedFile | ObjectFile:
        """Open an object at a byte.

        Raises:
            ChangedError: it is not there any more, or is another one.
            TransientError: it cannot be read now.
        """
        fetched = self._ahead.pop(stored, None)
        if fetched is None:
            return ObjectFile(self._bucket, stored, offset)
        file = fetched.result()
        file.seek(offset)
        return file

    def forget(self) -> None:
        """Have nothing read ahead."""
        for fetched in self._ahead.values():
            fetched.cancel()
        self._ahead.clear()

    def close(self) -> None:
        """Wait for what is under way."""
        self.forget()
        self._pool.shutdown()

    def _fetch(self, stored: Stored) -> FetchedFile:
        with closing(self._bucket.open(stored)) as body:
            return FetchedFile(body.read(), body.metadata)
