"""stdout / print: records as lines on standard output."""

from __future__ import annotations

import fcntl
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import Field

from flowspec.connectors import Action, WorkerContext
from flowspec.errors import FatalError
from flowspec.formats import Encoder, Format, encode_all, line_encoder
from flowspec.records import Failure, Record

__all__ = ["Print"]


class Print(Action):
    """Print: each record becomes a line on standard output, JSON unless another format is asked for.

    Nothing else is printed there.

    At-least-once. A record counts as delivered when the operating system has its line.
    """

    connector: Annotated[Literal["stdout"], Field(description="Standard output.", examples=["stdout"])] = "stdout"
    action: Annotated[Literal["print"], Field(description="Print lines.", examples=["print"])] = "print"
    account: Annotated[None, Field(description="Standard output needs no account.", examples=[None])] = None
    format: Annotated[
        Format,
        Field(
            description="How a record becomes a line: a name, or an object with one key, the name, that holds options. "
            "With other formats than json, a record that has a line end of its own is a dead letter.",
            examples=["json", {"csv": {"columns": ["id", "name"]}}],
        ),
    ] = "json"

    def check(self) -> str:
        """Standard output is always there."""
        return "nothing to check: lines go to standard output"

    def open(self, context: WorkerContext) -> _Printer:
        """Standard output is open already."""
        return _Printer(sys.stdout.fileno(), line_encoder(self.format))


class _Printer:
    def __init__(self, file: int, encode: Encoder) -> None:
        self._file = file
        self._lock = _lock_of(file)
        self._encode = encode

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        _, lines, failures = encode_all(records, self._encode)
        if lines:
            try:
                with self._locked():
                    self._write_all(b"\n".join(lines) + b"\n")
            except BrokenPipeError as error:
                msg = "standard output was closed by its reader"
                raise FatalError(msg) from error
            except OSError as error:
                # Not tried again: what is printed cannot be taken back, so the lines would be there twice.
                msg = f"standard output cannot be written: {error.strerror or error}"
                raise FatalError(msg) from error
        return failures

    def close(self) -> None:
        """Standard output stays open."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except BlockingIOError:
                # Whoever shares a pipe or terminal with us may have made it so.
                select.select([], [self._file], [])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the lines of several workers apart: a pipe takes only 4 KiB in one piece."""
        if self._lock is None:
            yield
            return
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _lock_of(file: int) -> int | None:
    """Another way to the same file: a lock on the one that all workers inherited would be shared by them."""
    try:
        return os.open(f"/dev/fd/{file}", os.O_WRONLY)
    except OSError:
        # A socket has no second way; its lines are kept apart by whoever reads it.
        return None
