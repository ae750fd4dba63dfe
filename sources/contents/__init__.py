"""Rows of files and objects, read lazily in bounded memory; the same for every trigger that reads such things.

In the spec model of a trigger:

    format: FormatField = "json-lines"
    compression: Compression = "auto"
    max_row: MaxRowField = MAX_ROW

In its poller:

    form = content_format(trigger.format)
    content = Content(open_at, max_row=trigger.max_row, compressed=is_compressed(trigger.compression, key))
    with closing(form.rows(content, resume)) as rows:       # resume: None, or the `after` of a row
        for row in rows:
            Record(row.raw, row.body, {..., "row": row.number, "offset": row.offset})
            cursor = row.after                              # in what JSON has

`open_at(offset)` opens the content at a byte, for a ranged GET; it is called with the first row that is asked for,
with 0 or with the byte of the resume point. Only `read(n)` and `close()` of the answer are used, and `seekable()` by
Parquet, which copies what is not seekable to a temporary file. What they raise comes out of `rows` as it is.

A row that is not of its format, or is too long, has a `RecordError` as its body, and the next one follows. Where a
content cannot be read any further (broken gzip, not Parquet) its last row says so; `after` of that is its end, so it is
not met again. Keep the iterator of a content that is half read: to resume one costs nothing for lines of what is not
compressed, and a second reading up to the row otherwise.

`rows` ends at the end of the content. A `growing` content is one that is written to, with formats that `can_grow`: a
last line without an end is left alone, and a new iterator, with the last `after`, goes on there later.
"""

from __future__ import annotations

from sources.contents.choice import (
    Compression,
    Format,
    FormatField,
    MaxRowField,
    content_format,
    is_compressed,
)
from sources.contents.contract import MAX_ROW, Content, ContentFormat, Opener, Resume, Row, Rows

__all__ = [
    "MAX_ROW",
    "Compression",
    "Content",
    "ContentFormat",
    "Format",
    "FormatField",
    "MaxRowField",
    "Opener",
    "Resume",
    "Row",
    "Rows",
    "content_format",
    "is_compressed",
]
