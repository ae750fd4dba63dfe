"""Appending lines to a file that several processes append to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

__all__ = ["Appender"]

_CHUNK = 64 * 1024


class Appender:
    """Appends lines to one file; any number of processes may append to the same.

    A batch is written under a lock, so lines of two processes never mix. When `append` returns, the lines are in the
    file, and on the disk if `sync` is set. A line that a crash left torn is cut off by whoever writes next: it was
    never confirmed, so its record comes again.
    """

    def __init__(self, path: Path, *, rotate_size: int | None = None, sync: bool = True) -> None:
        """Append to `path`; nothing is touched before the first batch.

        Args:
            path: The file; its directories are made.
            rotate_size: A batch that finds the file this many bytes long or longer renames it and begins a new one.
            sync: Whether a batch is on the disk, not only with the operating system, when `append` returns.
        """
        self._path = path
        self._rotate_size = rotate_size
        self._sync = sync
        self._file: int | None = None

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines, given without their line ends: all of them, or none.

        Raises:
            OSError: the file cannot be opened or written; it is as it was before.
        """
        if not lines:
            return
        try:
            file, size = self._open_locked()
            # Before the write, not behind it: lines that are in the file must not fail, or they are written again.
            while self._rotate_size is not None and size >= self._rotate_size:
                self._rotate()
                file, size = self._open_locked()
            self._write(file, size, b"\n".join(lines) + b"\n")
        finally:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, file: int, size: int, data: bytes) -> None:
        try:
            _write_all(file, data)
            if self._sync:
                os.fsync(file)
                if size == 0:
                    _sync_directory(self._path.parent)
        except OSError:
            # What is no regular file cannot be cut, and keeps no torn line.
            with contextlib.suppress(OSError):
                os.ftruncate(file, size)
            raise

    def _open_locked(self) -> tuple[int, int]:
        """The file, whose last line is whole, and its size."""
        while True:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if self._is_current(self._file):
                return self._file, _repair(self._file)
            # Another process rotated the file, or somebody removed it.
            self.close()

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        rotated = self._path.with_name(f"{self._path.stem}.{stamp}{self._path.suffix}")
        number = 1
        while rotated.exists():
            number += 1
            rotated = self._path.with_name(f"{self._path.stem}.{stamp}-{number}{self._path.suffix}")
        self._path.rename(rotated)
        self.close()


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync_directory(path: Path) -> None:
    """Have the name of a new file on the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _repair(file: int) -> int:
    """End the last line; answers the size of the file."""
    size = os.fstat(file).st_size
    if size == 0 or os.pread(file, 1, size - 1) == b"\n":
        return size
    start = _start_of_last_line(file, size)
    if not _is_whole(os.pread(file, size - start, start)):
        os.ftruncate(file, start)
        return start
    # A value that only lacks its line end was perhaps written by somebody else: it stays.
    os.write(file, b"\n")
    return size + 1


def _is_whole(line: bytes) -> bool:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    # The beginning of a number is a number too.
    return type(value) not in (int, float)


def _start_of_last_line(file: int, size: int) -> int:
    start = size
    while start > 0:
        chunk = os.pread(file, min(_CHUNK, start), max(0, start - _CHUNK))
        start -= len(chunk)
        if (end := chunk.rfind(b"\n")) >= 0:
            return start + end + 1
    return 0
