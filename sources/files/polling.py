"""What the pollers of new and of growing files share."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from flowspec.errors import FatalError, TransientError
from flowspec.polling import Page
from sources.contents import Content, content_format, is_compressed
from sources.files.opened import OpenedFile
from sources.files.scanning import Folder

if TYPE_CHECKING:
    from flowspec.polling import Cursor
    from flowspec.records import Record
    from sources.contents import Opener, Resume
    from sources.files.found import Found
    from sources.files.trigger import NewFiles

__all__ = ["FilesPoller", "Since", "fault"]

Since: TypeAlias = Literal["now", "beginning"] | AwareDatetime
_since = TypeAdapter[Any](Since)
_NOBODYS = object()
"""A cursor that is none."""


def fault(error: OSError) -> TransientError:
    """What is said about a file or folder that cannot be read now."""
    return TransientError(f"{os.fsdecode(error.filename or '')}: {error.strerror or error}")


class FilesPoller(ABC):
    """Reads files of a folder one after another; pages may end, and flows be killed, anywhere in a file."""

    def __init__(self, trigger: NewFiles, since: Any) -> None:
        """Poll for a trigger, beginning at `since`.

        Raises:
            FatalError: `since` is nothing to begin at.
        """
        try:
            self._since: str | datetime = _since.validate_python(since)
        except ValidationError:
            msg = f"{since!r} is nothing to begin at: give 'now', 'beginning', or a time like '2024-05-01T00:00:00Z'"
            raise FatalError(msg) from None
        self._trigger = trigger
        self._format = content_format(trigger.format)
        self._folder = Folder(trigger.path, but=trigger.move_to, logs=trigger.grow)
        self._cursor: Any = _NOBODYS
        """What the state in memory is the state of."""
        self._cancelled = threading.Event()
        self._file: OpenedFile | None = None
        """The file that is being read."""
        self.what = f"files {trigger.path}"

    def poll(self, cursor: Cursor | None, most: int) -> Page:
        """The next rows of files."""
        self._cancelled.clear()
        if cursor is not self._cursor:
            # At the start, and after a poll that failed in the middle.
            self._close_file()
            self._begin(cursor)
        self._cursor = _NOBODYS
        page = self._remember_all() if cursor is None and self._since != "beginning" else self._next_page(cursor, most)
        self._cursor = page.cursor
        return page

    def cancel(self) -> None:
        """Have the poll end."""
        self._cancelled.set()

    def close(self) -> None:
        """Close what is open."""
        self._close_file()

    @abstractmethod
    def _begin(self, cursor: Cursor | None) -> None:
        """Have the state be that of a cursor."""

    @abstractmethod
    def _remember_all(self) -> Page:
        """Take note of the files that are there, instead of reading them."""

    @abstractmethod
    def _next_page(self, cursor: Cursor | None, most: int) -> Page:
        """Read on; where there is nothing, the cursor stays what it is."""

    def _check(self) -> None:
        if self._cancelled.is_set():
            msg = f"looking at {self._trigger.path} was cancelled"
            raise TransientError(msg)

    def _wait(self, seconds: float) -> None:
        self._cancelled.wait(seconds)
        self._check()

    def _open(self, found: Found, open_at: Opener, resume: Resume | None, *, growing: bool = False) -> OpenedFile:
        compressed = is_compressed(self._trigger.compression, found.name)
        content = Content(open_at, max_row=self._trigger.max_row, compressed=compressed, growing=growing)
        return OpenedFile(found, self._format, content, resume)

    def _take(self, file: OpenedFile) -> Record:
        try:
            return file.take()
        except OSError as error:
            msg = f"{file.found.path} cannot be read: {error.strerror or error}"
            raise TransientError(msg) from error

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
