"""What is read, and what comes out of it: rows, each with the point to go on at."""

from __future__ import annotations

import gzip
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, TypeAlias, cast

from flowspec.errors import RecordError

__all__ = [
    "END",
    "MAX_ROW",
    "SHOWN",
    "Content",
    "ContentFormat",
    "Opener",
    "Reading",
    "Resume",
    "Row",
    "spoilt",
    "too_long",
]

Opener: TypeAlias = Callable[[int], BinaryIO]
"""Opens a content at a byte, counted from 0. Only `read(n)` and `close()` of the answer are used; it need not seek."""
Resume: TypeAlias = "dict[str, Any]"
"""Where to go on; has only what JSON has, and takes a few dozen bytes (with a header of CSV, its names as well)."""

MAX_ROW = 16 * 1024 * 1024
"""Bytes that a row may have unless another limit is asked for."""
SHOWN = 64 * 1024
"""Bytes of a row that is too long to be kept which are kept nevertheless, to show what it was."""
END: Resume = {"end": True}
"""Behind everything, whatever follows."""


@dataclass(slots=True)
class Row:
    """One row of a content; a content that is not split is one row."""

    raw: bytes
    """The row as it was received, without its line end; of one that was too long, the first 64 KiB."""
    body: Any
    """The decoded row, with what JSON has in it (bytes for format `bytes`); a `RecordError` where it is not of its
    format."""
    number: int
    """Counts the rows of the content from 1."""
    offset: int | None
    """The byte where it begins, after decompression; None where a row does not begin at a byte."""
    after: Resume
    """Where to go on behind it."""


Rows: TypeAlias = Generator[Row, None, None]
"""Rows that are read as they are asked for. Closing them closes the content."""


@dataclass(frozen=True)
class Content:
    """A file or an object, as a format reads it."""

    open_at: Opener
    max_row: int = MAX_ROW
    """Bytes that a row may have; a longer one is a `RecordError`."""
    compressed: bool = False
    """Whether it is compressed by gzip."""
    growing: bool = False
    """Whether more may be written to it: its last row is not taken before its line has an end."""

    @property
    def shown(self) -> int:
        """How many bytes are kept of a row that is too long."""
        return min(SHOWN, self.max_row)

    @contextmanager
    def reading(self, offset: int = 0) -> Iterator[Reading]:
        """Read from a byte on, counted after decompression; what is compressed is read from the beginning anyway."""
        with Reading(self, offset) as reading:
            yield reading


class Reading:
    """Reads a content in pieces, decompressed."""

    def __init__(self, content: Content, offset: int) -> None:
        self._stream = content.open_at(0 if content.compressed else offset)
        self._read: Callable[[int], bytes] = (
            _Unzipped(self._stream, offset).read if content.compressed else self._stream.read
        )

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def read(self, size: int) -> bytes:
        """At most `size` bytes, and none at the end only.

        Raises:
            RecordError: it cannot be decompressed.
        """
        return self._read(size)


class _Unzipped:
    """The bytes of a gzip file, of all its members."""

    def __init__(self, stream: BinaryIO, skip: int) -> None:
        self._file = gzip.GzipFile(fileobj=cast("BinaryIO", _Filled(stream)))
        self._skip = skip

    def read(self, size: int) -> bytes:
        while self._skip:
            passed = len(self._some(min(self._skip, SHOWN)))
            if not passed:
                return b""
            self._skip -= passed
        return self._some(size)

    def _some(self, size: int) -> bytes:
        try:
            return self._file.read1(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            msg = f"the content cannot be decompressed as gzip behind byte {self._file.tell()}: {error}"
            raise RecordError(msg) from error


class _Filled:
    """Reads as much as is asked for, as gzip wants it; what comes from a connection may come in small pieces."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        filled = self._stream.read(size)
        while len(filled) < size and (more := self._stream.read(size - len(filled))):
            filled += more
        return filled


class ContentFormat(ABC):
    """A format of whole contents."""

    called: ClassVar[str]
    """Its name in a spec."""
    can_grow: ClassVar[bool] = False
    """Whether rows can be read from a content that more is written to."""

    @abstractmethod
    def rows(self, content: Content, resume: Resume | None) -> Rows:
        """The rows of `content`, from the beginning or behind the row that `resume` came with.

        What `open_at` and the stream raise comes out as it is.
        """

    def behind(self, content: Content, offset: int) -> Resume | None:
        """Where to go on at a row that begins at byte `offset`, without those before; None for the beginning.

        Raises:
            RecordError: the content cannot be read.
        """
        return {"offset": offset, "row": 0}


def spoilt(error: Exception, number: int, offset: int | None, raw: bytes = b"") -> Row:
    """The last row of a content that cannot be read any further."""
    body = error if isinstance(error, RecordError) else RecordError(str(error))
    return Row(raw[:SHOWN], body, number, offset, END)


def too_long(what: str, content: Content) -> RecordError:
    """What is wrong with a row, or a content as one, that has more bytes than it may."""
    return RecordError(f"the {what} is longer than {content.max_row} bytes, which is the most a row may have")
