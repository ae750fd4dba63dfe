"""Lines of a content, in bounded memory, and the formats that have a record in each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import orjson
from pydantic import AfterValidator, Field

from flowspec.errors import RecordError
from flowspec.formats import FormatWithOptions
from flowspec.formats.contract import Encoding
from flowspec.model import SpecModel
from sources.contents.contract import END, Content, ContentFormat, Reading, Resume, Row, Rows, spoilt, too_long

__all__ = ["BOM", "JsonLines", "Line", "LineEncoding", "LinesFormat", "Text", "TextLines", "lines"]

BOM = b"\xef\xbb\xbf"
_CHUNK = 128 * 1024


@dataclass(slots=True)
class Line:
    """A line without its end, of which a carriage return is left where there was one."""

    data: bytes
    start: int
    """The byte where it begins."""
    end: int
    """The byte behind what was read of it."""
    too_long: bool = False
    """Whether it is longer than a row may be; `data` has its beginning."""
    goes_on: bool = False
    """Whether `end` is inside the line."""

    def after(self, number: int) -> Resume:
        """Where to go on when this line was row `number`."""
        after: Resume = {"offset": self.end, "row": number}
        if self.goes_on:
            after["inside"] = True
        return after


def lines(content: Content, reading: Reading, start: int, *, inside: bool = False) -> Iterator[Line]:
    """The lines from byte `start` on, where `reading` stands.

    A line that is too long comes once, as soon as that is seen; its rest is passed over. Of a growing content, a last
    line without an end does not come.

    Args:
        content: What is read.
        reading: Reads it.
        start: Where that stands.
        inside: Whether that is inside a line which was too long.

    Raises:
        RecordError: the content cannot be read any further.
    """
    limit = content.max_row
    tail = b""
    while chunk := reading.read(_CHUNK):
        pieces = (tail + chunk).split(b"\n")
        tail = pieces.pop()
        for piece in pieces:
            end = start + len(piece) + 1
            if inside:
                inside = False
            elif len(piece) > limit:
                yield Line(piece[: content.shown], start, end, too_long=True)
            else:
                yield Line(piece, start, end)
            start = end
        if not inside and len(tail) > limit:
            inside = True
            yield Line(tail[: content.shown], start, start + len(tail), too_long=True, goes_on=True)
        if inside:
            start += len(tail)
            tail = b""
    if tail and not content.growing:
        yield Line(tail, start, start + len(tail))


class LinesFormat(ContentFormat):
    """A format with a record in each line; empty lines are none."""

    can_grow: ClassVar[bool] = True

    @abstractmethod
    def line_decoder(self) -> Callable[[bytes], Any]:
        """The function that makes a body of a line; it raises `ValueError` for one that is not of the format."""

    def rows(self, content: Content, resume: Resume | None) -> Rows:
        """A row for each line."""
        if resume == END:
            return
        resume = resume or {}
        offset, number, name = resume.get("offset", 0), resume.get("row", 0), self.called
        decode = self.line_decoder()
        with content.reading(offset) as reading:
            try:
                for line in lines(content, reading, offset, inside=resume.get("inside", False)):
                    offset = line.end
                    raw = line.data.removesuffix(b"\r")
                    if line.start == 0:
                        raw = raw.removeprefix(BOM)
                    if not raw:
                        continue
                    number += 1
                    yield Row(raw, _body(decode, raw, line, name, content), number, line.start, line.after(number))
            except RecordError as error:
                yield spoilt(error, number + 1, offset)


def _body(decode: Callable[[bytes], Any], raw: bytes, line: Line, name: str, content: Content) -> Any:
    if line.too_long:
        return too_long("line", content)
    try:
        return decode(raw)
    except ValueError as error:
        return RecordError(f"the line is not {name}: {error}")


class JsonLines(LinesFormat):
    """A JSON value in each line."""

    called: ClassVar[str] = "json-lines"

    def line_decoder(self) -> Callable[[bytes], Any]:
        """Makes a value of a line."""
        return orjson.loads


def _has_line_ends(encoding: str) -> str:
    if "\n".encode(encoding) != b"\n":
        msg = f"lines cannot be found in {encoding!r}, whose line ends are not single bytes; convert it to UTF-8"
        raise ValueError(msg)
    return encoding


LineEncoding: TypeAlias = Annotated[
    Encoding,
    AfterValidator(_has_line_ends),
    Field(description="How characters are bytes; a line end has to be the same byte as in ASCII.", examples=["cp1252"]),
]
"""The `encoding` of a format of lines."""


class Text(SpecModel):
    """Options of the format text."""

    encoding: LineEncoding = "utf-8"


class TextLines(FormatWithOptions, LinesFormat):
    """A text in each line."""

    called: ClassVar[str] = "text"
    text: Annotated[Text, Field(description="Options of the format text.", examples=[{"encoding": "cp1252"}])]

    def line_decoder(self) -> Callable[[bytes], Any]:
        """Makes a text of a line."""
        encoding = self.text.encoding
        return lambda raw: raw.decode(encoding)
