"""The format csv: a row of a CSV file, which may have line ends in its quoted fields, is a record."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from flowspec import formats
from flowspec.errors import RecordError
from flowspec.formats import FormatWithOptions
from sources.contents.contract import END, Content, ContentFormat, Resume, Row, Rows, spoilt, too_long
from sources.contents.lines import BOM, Line, LineEncoding, lines

__all__ = ["Csv", "CsvRows"]


class Csv(formats.Csv):
    """Options of the format csv."""

    columns: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            description="Names of the fields, in their order: the body is an object. Without them they are taken from "
            "the header.",
            examples=[["order_id", "status", "total"]],
        ),
    ] = None
    header: Annotated[
        bool | None,
        Field(
            description="Whether the first row is no record: it has the names of the fields, or, where there are "
            "`columns`, is passed over. By default it is where there are no `columns`. With neither, the body is a "
            "list.",
            examples=[False],
        ),
    ] = None
    encoding: LineEncoding = "utf-8"

    @property
    def has_header(self) -> bool:
        """Whether the first row is no record."""
        return self.columns is None if self.header is None else self.header


class CsvRows(FormatWithOptions, ContentFormat):
    """Rows of CSV (RFC 4180), with a header in each content or without."""

    called: ClassVar[str] = "csv"
    can_grow: ClassVar[bool] = True
    csv: Annotated[
        Csv,
        Field(description="Options of the format csv.", examples=[{"delimiter": ";", "encoding": "cp1252"}]),
    ]

    def rows(self, content: Content, resume: Resume | None) -> Rows:
        """A row for each of CSV, the header apart."""
        if resume == END:
            return
        resume = resume or {}
        offset, number = resume.get("offset", 0), resume.get("row", 0)
        columns: list[str] | None = self.csv.columns or resume.get("columns")
        header = self.csv.has_header and not offset
        with content.reading(offset) as reading:
            source = lines(content, reading, offset, inside=resume.get("inside", False))
            records = _Records(source, self.csv, content)
            try:
                for raw, fields, line in records:
                    offset = line.end
                    if header:
                        header = False
                        if columns is None:
                            columns = _names(fields)
                        continue
                    number += 1
                    after = line.after(number)
                    if self.csv.has_header and self.csv.columns is None:
                        after["columns"] = columns
                    yield Row(raw, _body(fields, columns), number, records.start, after)
            except RecordError as error:
                yield spoilt(error, number + 1, offset)

    def behind(self, content: Content, offset: int) -> Resume | None:
        """Where to go on at the line that begins at `offset`; None where the header is not there yet."""
        if not self.csv.has_header or self.csv.columns is not None:
            return super().behind(content, offset)
        with content.reading() as reading:
            for _, fields, line in _Records(lines(content, reading, 0), self.csv, content):
                return {"offset": max(offset, line.end), "row": 0, "columns": _names(fields)}
        return None


def _names(fields: list[str] | RecordError) -> list[str]:
    """The names that a header has.

    Raises:
        RecordError: it is none.
    """
    if isinstance(fields, RecordError):
        msg = f"the header cannot be read: {fields}"
        raise RecordError(msg)
    twice = next((name for place, name in enumerate(fields) if name in fields[:place]), None)
    if twice is not None:
        msg = f"the header has the column {twice!r} twice; give names in `columns`, with `header: true`"
        raise RecordError(msg)
    return fields


def _body(fields: list[str] | RecordError, columns: list[str] | None) -> Any:
    if columns is None or isinstance(fields, RecordError):
        return fields
    if len(fields) != len(columns):
        return RecordError(f"the row has {len(fields)} fields, not {len(columns)} ({', '.join(columns)[:500]})")
    return dict(zip(columns, fields, strict=True))


class _Records:
    """Takes records of CSV out of lines: as many as quoted line ends make it."""

    def __init__(self, source: Iterator[Line], options: Csv, content: Content) -> None:
        # The limit, 128 KiB of a field, is one of the whole process; how long a row may be, the content says.
        csv.field_size_limit(sys.maxsize)
        self._source = source
        self._content = content
        self._encoding = options.encoding
        self._reader = csv.reader(
            _Feed(self._feed),
            delimiter=options.delimiter,
            quotechar=options.quote,
            quoting=csv.QUOTE_NONE if options.quote is None else csv.QUOTE_MINIMAL,
            strict=True,
        )
        self._taken: list[Line] = []
        """The lines of the record that is being read."""
        self._size = 0
        self._fault: RecordError | None = None
        """What is wrong with one of them."""
        self.start = 0
        """The byte where the last record begins."""

    def __iter__(self) -> Iterator[tuple[bytes, list[str] | RecordError, Line]]:
        """Each record as it was received, its fields or what is wrong with it, and its last line."""
        while True:
            self._taken, self._size, self._fault = [], 0, None
            fields: list[str] | RecordError
            try:
                fields = next(self._reader)
            except StopIteration:
                return
            except _TooLongError:
                fields = too_long("row", self._content)
            except csv.Error as error:
                fields = RecordError(f"the row is not csv: {_in_words(error)}")
                if self._content.growing and str(error) == "unexpected end of data":
                    # The rest of the record is not written yet.
                    return
            if fields:
                self.start = self._taken[0].start
                yield self._raw(), self._fault or fields, self._taken[-1]

    def _raw(self) -> bytes:
        raw = b"\n".join([line.data for line in self._taken]).removesuffix(b"\r")
        raw = raw.removeprefix(BOM) if self.start == 0 else raw
        return raw if self._size <= self._content.max_row else raw[: self._content.shown]

    def _feed(self) -> str:
        line = next(self._source)
        self._taken.append(line)
        self._size += line.end - line.start
        if line.too_long or self._size > self._content.max_row:
            raise _TooLongError
        data = line.data.removeprefix(BOM) if line.start == 0 else line.data
        try:
            text = data.decode(self._encoding)
        except UnicodeDecodeError as error:
            # What the fields are, and where the record ends, is seen nevertheless.
            self._fault = RecordError(f"the row is not {self._encoding}: {error}")
            text = data.decode(self._encoding, "replace")
        return text + "\n"


class _TooLongError(Exception):
    """A record has more bytes than a row may have."""


class _Feed:
    """An iterator that goes on after an exception, as a generator does not."""

    def __init__(self, feed: Callable[[], str]) -> None:
        self._feed = feed

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return self._feed()


def _in_words(error: csv.Error) -> str:
    text = str(error)
    if text.startswith("new-line character"):
        return "it has a carriage return inside a line, outside quotes"
    return "a quote is not closed" if text == "unexpected end of data" else text
