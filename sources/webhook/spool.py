"""Requests that were accepted and are not delivered, on the disk."""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from flowspec.errors import FatalError

__all__ = ["Spool", "SpoolPosition", "entries_of"]

_log = logging.getLogger(__name__)

SpoolPosition: TypeAlias = "tuple[int, int]"
"""Number of a segment, and bytes from its start."""

_HEAD = struct.Struct(">II")
"""Checksum and size of an entry."""
_CHUNK = 1024 * 1024
"""Bytes that are read at a time."""


class Spool:
    """A queue of entries in a directory: appended to, read once, and removed when they are delivered.

    It is made of segments, files that are only appended to. A segment is removed when all of it is delivered. How far
    that is stands in the file `delivered`; it is not forced to the disk, so that a crash of the machine may bring back
    what was delivered in the last seconds, and a crash of the process does not.

    One thread appends, one reads and one commits, at the same time.
    """

    def __init__(self, directory: Path, segment_size: int) -> None:
        """Open the spool, and go on where the last commit was.

        Raises:
            FatalError: another process has it, or the directory cannot be used.
        """
        self._directory = directory
        self._segment_size = segment_size
        self._ends: dict[int, int] = {}
        """How far each segment is on the disk, by its number; all but the last one are complete."""
        self._appended = threading.Condition()
        self._file: int | None = None
        """The last segment, while it is appended to."""
        self._open_segment: tuple[int, int] | None = None
        """Number and file of the segment that is read."""
        self.waiting = 0
        """Entries that have not been read."""
        self.size = 0
        """Bytes on the disk."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._cursor = _Cursor(directory / "delivered")
            self._committed = self._read_up_to = self._cursor.load()
            self._last = self._committed[0]
            self._find_segments()
        except OSError as error:
            msg = f"accepted requests cannot be stored in {directory}: {error.strerror or error}"
            raise FatalError(msg) from error

    def append(self, entries: Sequence[bytes]) -> None:
        """Append entries; when it returns they are on the disk.

        Raises:
            OSError: they are not; perhaps some are.
        """
        data = b"".join(_framed(entry) for entry in entries)
        try:
            file = self._begin_segment() if self._file is None else self._file
            _write_all(file, data)
            os.fsync(file)
        except OSError:
            self._end_segment(cut=True)
            raise
        with self._appended:
            self._ends[self._last] += len(data)
            self.size += len(data)
            self.waiting += len(entries)
            self._appended.notify_all()
        if self._ends[self._last] >= self._segment_size:
            self._end_segment()

    def read(self, most: int, wait: float) -> list[tuple[bytes, SpoolPosition]]:
        """The next entries, each with the position after it; waits at most `wait` seconds for the first.

        Raises:
            FatalError: they are not what was appended.
            OSError: the disk fails.
        """
        with self._appended:
            if not self._appended.wait_for(self._has_more, wait):
                return []
            (number, start), end = self._read_up_to, self._ends[self._read_up_to[0]]
        data = self._bytes(number, start, min(end, start + _CHUNK))
        if len(data) < _HEAD.size + _HEAD.unpack_from(data)[1]:
            data = self._bytes(number, start, start + _HEAD.size + _HEAD.unpack_from(data)[1])
        found = [(entry, (number, start + after)) for entry, after in entries_of(data)][:most]
        if not found:
            msg = f"{self._path(number)} is damaged at byte {start}; move it away, what is in it is lost"
            raise FatalError(msg)
        with self._appended:
            self._read_up_to = found[-1][1]
            self.waiting -= len(found)
        return found

    def commit(self, position: SpoolPosition) -> None:
        """Take note that everything up to `position` is delivered.

        Raises:
            OSError: the disk fails; what is not noted comes again after a restart.
        """
        self._committed = position
        self._cursor.save(position)
        with self._appended:
            # A segment that was ended is never appended to again.
            done = [
                each for each in self._ends.items() if each <= position and (each[0] < self._last or not self._file)
            ]
            for number, end in done:
                del self._ends[number]
                self.size -= end
        for number, _ in done:
            self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files, and remove them if everything is delivered. Never raises."""
        with suppress(OSError):
            self._end_segment()
            if self._open_segment is not None:
                os.close(self._open_segment[1])
                self._open_segment = None
            if all(each <= self._committed for each in self._ends.items()):
                for number in self._ends:
                    self._path(number).unlink(missing_ok=True)
        self._cursor.close()

    def _find_segments(self) -> None:
        for path in sorted(self._directory.glob("*.spool")):
            number = int(path.stem)
            start = self._committed[1] if number == self._committed[0] else 0
            if number < self._committed[0]:
                path.unlink()
                continue
            data = path.read_bytes()
            after = [start + end for _, end in entries_of(memoryview(data)[start:])]
            self._ends[number] = after[-1] if after else start
            self.waiting += len(after)
            self.size += self._ends[number]
            self._last = max(self._last, number)
            if self._ends[number] < len(data):
                _log.warning("%s: the last %d bytes are no request as a whole", path, len(data) - self._ends[number])
        if self.waiting:
            _log.info("%d requests that were accepted before are delivered now", self.waiting)

    def _has_more(self) -> bool:
        number, at = self._read_up_to
        while at >= self._ends.get(number, 0):
            later = [each for each in self._ends if each > number]
            if not later:
                return False
            number, at = min(later), 0
            self._read_up_to = number, at
        return True

    def _bytes(self, number: int, start: int, end: int) -> bytes:
        if self._open_segment is None or self._open_segment[0] != number:
            if self._open_segment is not None:
                os.close(self._open_segment[1])
            self._open_segment = number, os.open(self._path(number), os.O_RDONLY)
        return os.pread(self._open_segment[1], end - start, start)

    def _begin_segment(self) -> int:
        # One that could not be begun is not tried again: its name may be taken by now.
        self._last += 1
        self._file = os.open(self._path(self._last), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        with self._appended:
            self._ends[self._last] = 0
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return self._file

    def _end_segment(self, *, cut: bool = False) -> None:
        """Begin another one with the next entries; `cut` off what is not known to be on the disk."""
        if self._file is None:
            return
        if cut:
            with suppress(OSError):
                os.ftruncate(self._file, self._ends[self._last])
        os.close(self._file)
        self._file = None

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012}.spool"


class _Cursor:
    """A file with a position, and the lock of its directory."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            msg = f"{path.parent} is in use by another run of this flow; stop it, or give this one another --state-dir"
            raise FatalError(msg) from None

    def load(self) -> SpoolPosition:
        """The position that was saved last."""
        words = os.pread(self._file, 64, 0).split()
        return (int(words[0]), int(words[1])) if len(words) == 2 else (0, 0)  # noqa: PLR2004

    def save(self, position: SpoolPosition) -> None:
        """Save a position, in place of the last one."""
        os.pwrite(self._file, b"%012d %012d\n" % position, 0)

    def close(self) -> None:
        """Give the lock up."""
        os.close(self._file)


def entries_of(data: bytes | memoryview) -> Iterator[tuple[bytes, int]]:
    """The entries at the beginning of `data` that are whole, each with where it ends."""
    at = 0
    while at + _HEAD.size <= len(data):
        checksum, size = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + size
        entry = bytes(data[at + _HEAD.size : end])
        if end > len(data) or _checksum(entry) != checksum:
            return
        yield entry, end
        at = end


def _framed(entry: bytes) -> bytes:
    return _HEAD.pack(_checksum(entry), len(entry)) + entry


def _checksum(entry: bytes) -> int:
    # Begun with 1, for no run of zeros that a crash left may be an entry.
    return zlib.crc32(entry, 1)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
