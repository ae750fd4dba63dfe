"""A file that is being read."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from flowspec.records import Record
from sources.contents import Content, ContentFormat, Resume, Row
from sources.files.found import Found

__all__ = ["OpenedFile"]


class OpenedFile:
    """The rows of a file; one is read ahead, so that it is known when there are no more."""

    def __init__(self, found: Found, form: ContentFormat, content: Content, resume: Resume | None) -> None:
        """Begin to read.

        Raises:
            OSError: it cannot be opened or read.
        """
        self.found = found
        self.after = resume
        """Where to go on."""
        self._rows = form.rows(content, resume)
        self._meta = _meta(found)
        self._next: Row | None = None
        self._look_ahead()

    @property
    def at_end(self) -> bool:
        """Whether there are no more rows."""
        return self._next is None

    def take(self) -> Record:
        """The next row as a record.

        Raises:
            StopIteration: there is none.
            OSError: it cannot be read.
        """
        if (row := self._next) is None:
            raise StopIteration
        self.after = row.after
        self._look_ahead()
        return Record(row.raw, row.body, {**self._meta, "row": row.number, "offset": row.offset})

    def close(self) -> None:
        """Free the file."""
        self._next = None
        self._rows.close()

    def _look_ahead(self) -> None:
        self._next = next(self._rows, None)


def _meta(found: Found) -> dict[str, Any]:
    path = os.fsencode(found.path).decode("utf-8", "backslashreplace")
    modified = datetime.fromtimestamp(found.modified / 1e9, timezone.utc)
    return {
        "path": path,
        "name": path.rpartition(os.sep)[2],
        "inode": found.inode,
        "size": found.size,
        "modified_at": modified.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
