"""An object that is being read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, BinaryIO, cast

from flowspec.errors import RecordError
from flowspec.records import Record
from sources.amazon_s3.bucket import ArchivedError, Body, Bucket, Stored
from sources.contents import Resume, Row
from sources.contents.contract import END

__all__ = ["FetchedFile", "ObjectFile", "OpenedObject"]


class FetchedFile(io.BytesIO):
    """An object that is in memory, as a file."""

    def __init__(self, content: bytes, metadata: Mapping[str, str]) -> None:
        super().__init__(content)
        self.metadata = metadata
        """What the object's writer attached to it."""


class ObjectFile(io.RawIOBase):
    """An object as a file: read from one end to the other it is one request, and one for each piece otherwise.

    What reading raises is what the bucket raises.
    """

    def __init__(self, bucket: Bucket, stored: Stored, offset: int = 0) -> None:
        """Nothing is asked for before something is read."""
        self._bucket = bucket
        self._stored = stored
        self._at = offset
        self._is_sought = False
        self._body: Body | None = None
        self.metadata: Mapping[str, str] = {}
        """What the object's writer attached to it; known once something was read."""

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, and none at the end only."""
        if self._at >= self._stored.size or not size:
            return b""
        if self._is_sought:
            data = self._piece(size)
        else:
            if self._body is None:
                self._body = self._open(None)
            data = self._body.read(None if size < 0 else size)
        self._at += len(data)
        return data

    def _piece(self, size: int) -> bytes:
        until = self._stored.size if size < 0 else min(self._at + size, self._stored.size)
        with closing(self._open(until)) as body:
            return body.read()

    def _open(self, until: int | None) -> Body:
        body = self._bucket.open(self._stored, self._at, until)
        self.metadata = body.metadata
        return body

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Read on at another place."""
        self._is_sought = True
        self._drop()
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stored.size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def tell(self) -> int:
        """The byte that is read next."""
        return self._at

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Give up what was not read."""
        self._drop()
        super().close()

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


class OpenedObject:
    """The rows of an object; one is read ahead, so that it is known when there are no more."""

    def __init__(
        self,
        stored: Stored,
        meta: Mapping[str, Any],
        rows: Callable[[Callable[[int], BinaryIO]], Iterator[Row]],
        open_at: Callable[[Stored, int], FetchedFile | ObjectFile],
    ) -> None:
        """Begin to read.

        Args:
            stored: The object.
            meta: What is said about each of its records.
            rows: Makes rows of what opens the object at a byte.
            open_at: Opens an object at a byte.

        Raises:
            ChangedError: the object is not there any more, or is another one.
            TransientError: it cannot be read now.
        """
        self.stored = stored
        self.after: Resume | None = None
        """Where to go on behind the last row that was taken; None before the first."""
        self._meta = meta
        self._open = open_at
        self._file: FetchedFile | ObjectFile | None = None
        self._rows = rows(self._open_at)
        self._next: Row | None = None
        try:
            self._look_ahead()
        except BaseException:
            self.close()
            raise

    @property
    def at_end(self) -> bool:
        """Whether there are no more rows."""
        return self._next is None

    def take(self) -> Record:
        """The next row as a record; what comes behind it is read.

        Raises:
            StopIteration: there is none.
            ChangedError: the object is not there any more, or is another one.
            TransientError: it cannot be read now.
        """
        if (row := self._next) is None:
            raise StopIteration
        self._look_ahead()
        self.after = row.after
        headers = {} if self._file is None else dict(self._file.metadata)
        return Record(
            row.raw, row.body, {**self._meta, "row": row.number, "offset": row.offset}, self.stored.key, headers
        )

    def close(self) -> None:
        """Give up what was not read."""
        self._next = None
        if self._file is not None:
            self._file.close()

    def _open_at(self, offset: int) -> BinaryIO:
        self._file = self._open(self.stored, offset)
        return cast("BinaryIO", self._file)

    def _look_ahead(self) -> None:
        try:
            self._next = next(self._rows, None)
        except ArchivedError as error:
            said = RecordError(f"the object has to be restored from its archive first: {error}")
            self._next = Row(b"", said, 1, None, END)
