"""Reading contents of bytes, as from a connection: forward only, in pieces."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, cast

from pydantic import TypeAdapter

from sources.contents import Content, Format, Resume, Row, content_format

__all__ = ["bodies", "content", "rows"]

_form = TypeAdapter[Any](Format)


class Connection(io.RawIOBase):
    """What cannot go back, and answers with as much as it likes."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self._most = most

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._most))


def content(data: bytes, most: int = 1 << 20, **fields: Any) -> Content:
    """A content of bytes, of which a read answers with `most` at most."""
    return Content(lambda offset: cast("BinaryIO", Connection(data[offset:], most)), **fields)


def rows(form: Any, data: bytes, resume: Resume | None = None, **fields: Any) -> list[Row]:
    """All rows of it, by a format as a spec has it."""
    return list(content_format(_form.validate_python(form)).rows(content(data, **fields), resume))


def bodies(form: Any, data: bytes, resume: Resume | None = None, **fields: Any) -> list[Any]:
    """Their bodies, with the messages of errors."""
    return [
        str(row.body) if isinstance(row.body, Exception) else row.body for row in rows(form, data, resume, **fields)
    ]
