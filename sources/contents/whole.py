"""The formats that do not split a content: it is one record, or, for JSON, has them in a list."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import Field

from flowspec.errors import RecordError
from flowspec.formats import FormatWithOptions
from flowspec.formats.contract import Encoding
from flowspec.model import SpecModel
from sources.contents.contract import END, Content, ContentFormat, Resume, Row, Rows, spoilt, too_long
from sources.contents.lines import BOM

__all__ = ["Bytes", "Json", "JsonContent", "WholeFormat", "WholeText", "WholeTextContent"]

_CHUNK = 1024 * 1024


class WholeFormat(ContentFormat):
    """A format of a content as one record."""

    @abstractmethod
    def content_decoder(self) -> Callable[[bytes], Any]:
        """The function that makes a body of a content; it raises `ValueError` for one that is not of the format."""

    def rows(self, content: Content, resume: Resume | None) -> Rows:
        """One row."""
        if resume is not None:
            return
        raw, fault = _whole(content)
        if fault is not None:
            yield spoilt(fault, 1, 0, raw)
            return
        body: Any
        try:
            body = self.content_decoder()(raw)
        except ValueError as error:
            body = RecordError(f"the content is not {self.called}: {error}")
        yield Row(raw, body, 1, 0, END)


class Json(SpecModel):
    """Options of the format json."""

    items: Annotated[
        Literal[True] | str | None,
        Field(
            description="Where the list is whose items are the records: `true` for the content itself, or the path of "
            "a field. By default the whole content is one record.",
            examples=[True, "result.orders"],
        ),
    ] = None


class JsonContent(FormatWithOptions, WholeFormat):
    """A JSON value, or the items of a list in it."""

    called: ClassVar[str] = "json"
    json_: Annotated[
        Json, Field(alias="json", description="Options of the format json.", examples=[{"items": "result.orders"}])
    ]

    def content_decoder(self) -> Callable[[bytes], Any]:
        """Makes a value of a content."""
        return _loads

    def rows(self, content: Content, resume: Resume | None) -> Rows:
        """One row, or a row for each item."""
        path = self.json_.items
        if path is None:
            yield from super().rows(content, resume)
            return
        if resume is not None and "item" not in resume:
            return
        raw, fault = _whole(content)
        if fault is not None:
            yield spoilt(fault, 1, 0, raw)
            return
        try:
            items = _items(_loads(raw), "" if path is True else path)
        except ValueError as error:
            yield spoilt(RecordError(f"the content is not json with a list of items: {error}"), 1, 0, raw)
            return
        del raw
        first = resume["item"] if resume is not None else 0
        for place in range(first, len(items)):
            item = items[place]
            yield Row(orjson.dumps(item), item, place + 1, None, {"item": place + 1})


class WholeText(SpecModel):
    """Options of the format whole-text."""

    encoding: Annotated[
        Encoding, Field(description="How characters are bytes in a content.", examples=["cp1252", "utf-16"])
    ] = "utf-8"


class WholeTextContent(FormatWithOptions, WholeFormat):
    """A text."""

    called: ClassVar[str] = "whole-text"
    text: Annotated[
        WholeText,
        Field(alias="whole-text", description="Options of the format whole-text.", examples=[{"encoding": "utf-16"}]),
    ]

    def content_decoder(self) -> Callable[[bytes], Any]:
        """Makes a text of a content."""
        encoding = self.text.encoding
        return lambda raw: raw.removeprefix(BOM).decode(encoding)


class Bytes(WholeFormat):
    """The content as it is."""

    called: ClassVar[str] = "bytes"

    def content_decoder(self) -> Callable[[bytes], Any]:
        """Leaves a content as it is."""
        return bytes


def _whole(content: Content) -> tuple[bytes, RecordError | None]:
    """The content, or as much as was read of it, and what is wrong with it."""
    pieces: list[bytes] = []
    size = 0
    with content.reading() as reading:
        try:
            while piece := reading.read(_CHUNK):
                pieces.append(piece)
                size += len(piece)
                if size > content.max_row:
                    return pieces[0], too_long("content", content)
        except RecordError as error:
            return b"".join(pieces[:1]), error
    return b"".join(pieces), None


def _loads(raw: bytes) -> Any:
    return orjson.loads(raw.removeprefix(BOM))


def _items(value: Any, path: str) -> list[Any]:
    for name in filter(None, path.split(".")):
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, list):
        return value
    msg = f"{path!r} is no list in it" if path else "it is no list"
    raise ValueError(msg)
