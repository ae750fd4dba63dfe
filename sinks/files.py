"""files / append: records as lines of a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from flowspec.connectors import Action, WorkerContext
from flowspec.errors import FatalError, TransientError
from flowspec.fields import ByteSize
from flowspec.formats import Format, encode_all, line_encoder
from flowspec.jsonlines import Appender
from flowspec.records import Failure, Record

__all__ = ["Append"]

_TRANSIENT = frozenset({errno.EAGAIN, errno.EDQUOT, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOSPC})
"""What passes when somebody makes room or mends the disk."""


class Append(Action):
    """Append: each record becomes a line of a file, JSON unless another format is asked for.

    At-least-once. A record counts as delivered when its line is in the file and on the disk. Any number of workers
    may append to one file: lines never mix, and a line that a crash left torn is cut off by the next write.
    """

    connector: Annotated[Literal["files"], Field(description="Files of this machine.", examples=["files"])] = "files"
    action: Annotated[Literal["append"], Field(description="Add lines to a file.", examples=["append"])] = "append"
    account: Annotated[None, Field(description="Files need no account.", examples=[None])] = None
    path: Annotated[
        Path,
        Field(
            description="The file; its directories are made. Relative to the directory that the flow runs in.",
            examples=["out/orders.jsonl"],
        ),
    ]
    format: Annotated[
        Format,
        Field(
            description="How a record becomes a line: a name, or an object with one key, the name, that holds options. "
            "With other formats than json, a record that has a line end of its own is a dead letter.",
            examples=["json", {"csv": {"columns": ["id", "name"]}}],
        ),
    ] = "json"
    rotate_size: Annotated[
        ByteSize | None,
        Field(
            gt=0,
            description="Size after which the file is renamed, with the time in its name, and a new one is begun.",
            examples=["100MB"],
        ),
    ] = None
    sync: Annotated[
        bool,
        Field(
            description="Whether a record is delivered only when it is on the disk. Without it a power failure, "
            "not a crash of the flow, can lose the last records.",
            examples=[True],
        ),
    ] = True

    def check(self) -> str:
        """See that the file may be written, or that it and its directories may be made."""
        from sources.files.rights import check_writable, may

        try:
            is_there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return f"{check_writable(self.path.parent)}, where {self.path.name} is made"
        except OSError as error:
            msg = f"{self.path}: {error.strerror or error}"
            raise FatalError(msg) from error
        if stat.S_ISDIR(is_there.st_mode):
            msg = f"{self.path} is a folder; name a file in it"
            raise FatalError(msg)
        if not may(self.path, os.R_OK | os.W_OK):
            msg = f"{self.path} must not be read and written; let the user of this process do both"
            raise FatalError(msg)
        if self.rotate_size is not None:
            check_writable(self.path.parent)
        return f"{self.path} can be written"

    def open(self, context: WorkerContext) -> _LineWriter:
        """The file is opened with the first batch."""
        return _LineWriter(self)


class _LineWriter:
    def __init__(self, action: Append) -> None:
        self._path = action.path
        self._encode = line_encoder(action.format)
        self._file = Appender(action.path, rotate_size=action.rotate_size, sync=action.sync)

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        _, lines, failures = encode_all(records, self._encode)
        if lines:
            self._append(lines)
        return failures

    def _append(self, lines: Sequence[bytes]) -> None:
        try:
            self._file.append(lines)
        except OSError as error:
            msg = f"{self._path}: {error.strerror or error}"
            if error.errno in _TRANSIENT:
                raise TransientError(msg) from error
            raise FatalError(msg) from error

    def close(self) -> None:
        self._file.close()
