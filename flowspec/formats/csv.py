"""The format csv: the payload is one record of a CSV file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from io import StringIO
from typing import Annotated, Any, Literal, TypeAlias, TypedDict
from uuid import UUID

from pydantic import AfterValidator, Field, field_validator, model_validator

from flowspec.errors import RecordError
from flowspec.formats.contract import Decoder, Encoder, Encoding, LocalFormat
from flowspec.model import SpecModel

__all__ = ["Csv", "CsvFormat"]

_END = "\r\n"
_AS_THEY_ARE = frozenset({str, int, float, Decimal, UUID, type(None)})
"""Types whose `str()` is what stands in a field; nothing is an empty one."""


def _no_line_end(character: str) -> str:
    if character in "\r\n\0":
        msg = f"{character!r} cannot be a character between or around fields"
        raise ValueError(msg)
    return character


_Character: TypeAlias = Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_no_line_end)]


class Csv(SpecModel):
    """Options of the format csv."""

    columns: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            description="Names of the fields, in their order: the body is an object. Without them it is a list.",
            examples=[["order_id", "status", "total"]],
        ),
    ] = None
    delimiter: Annotated[
        _Character, Field(description="The character between two fields; a tab is `\\t`.", examples=[";"])
    ] = ","
    quote: Annotated[
        _Character | None,
        Field(
            description="The character around a field that has delimiters, line ends or quotes in it; twice inside it "
            "stands for itself. With null there are no quotes: every such character belongs to its field.",
            examples=["'"],
        ),
    ] = '"'
    encoding: Encoding = "utf-8"

    @field_validator("columns")
    @classmethod
    def _columns_differ(cls, columns: list[str] | None) -> list[str] | None:
        for place, name in enumerate(columns or ()):
            if columns is not None and name in columns[:place]:
                msg = f"the column {name!r} is there twice"
                raise ValueError(msg)
        return columns

    @model_validator(mode="after")
    def _delimiter_is_no_quote(self) -> Csv:
        if self.delimiter == self.quote:
            msg = f"delimiter and quote are both {self.quote!r}"
            raise ValueError(msg)
        return self


class _Dialect(TypedDict):
    delimiter: str
    quotechar: str | None
    quoting: Literal[0, 3]
    strict: bool


class CsvFormat(LocalFormat):
    """The payload is one record of a CSV file (RFC 4180), without a header."""

    csv: Annotated[
        Csv,
        Field(
            description="Options of the format csv.",
            examples=[{"columns": ["order_id", "status", "total"], "delimiter": ";"}],
        ),
    ]

    def decoder(self) -> Decoder:
        """Makes texts of the fields of a payload."""
        # The limit, 128 KiB of a field, is one of the whole process; how large a payload may be, the system says.
        csv.field_size_limit(sys.maxsize)
        encoding, columns, dialect = self.csv.encoding, self.csv.columns, self._dialect

        def decode_list(raw: bytes | str) -> list[str]:
            text = raw if isinstance(raw, str) else raw.decode(encoding)
            try:
                fields = next(csv.reader((text,), **dialect))
            except csv.Error as error:
                raise ValueError(_in_words(error)) from error
            if not fields:
                msg = "it is empty"
                raise ValueError(msg)
            return fields

        def decode_object(raw: bytes | str) -> dict[str, str]:
            fields = decode_list(raw)
            if len(fields) != len(names):
                msg = f"it has {len(fields)} fields, not {len(names)} ({', '.join(names)})"
                raise ValueError(msg)
            return dict(zip(names, fields, strict=True))

        names = columns or []
        return decode_list if columns is None else decode_object

    def encoder(self) -> Encoder:
        """Makes one line, without its end, of a list, or of the fields of an object that are columns."""
        encoding, fields_of = self.csv.encoding, _fields_in_order(self.csv.columns)
        line = StringIO(newline="")
        # A line end in a field is quoted because it is one of the writer's own.
        writer = csv.writer(line, lineterminator=_END, **self._dialect)

        def encode(body: Any) -> bytes:
            line.seek(0)
            line.truncate()
            try:
                writer.writerow(fields_of(body))
            except csv.Error as error:
                raise RecordError(_in_words(error)) from error
            return line.getvalue()[: -len(_END)].encode(encoding)

        return encode

    @property
    def _dialect(self) -> _Dialect:
        return {
            "delimiter": self.csv.delimiter,
            "quotechar": self.csv.quote,
            "quoting": csv.QUOTE_NONE if self.csv.quote is None else csv.QUOTE_MINIMAL,
            "strict": True,
        }


def _in_words(error: csv.Error) -> str:
    text = str(error)
    if text.startswith("new-line character"):
        return "it has more than one line, and a record is one"
    if text.startswith("need to escape"):
        return "a field has a delimiter or line end, which needs a quote"
    return "a quote is not closed" if text == "unexpected end of data" else text


def _fields_in_order(columns: list[str] | None) -> Callable[[Any], Sequence[Any]]:
    """The function that takes the fields of a line out of a body."""

    def of_list(body: Any) -> Sequence[Any]:
        if not isinstance(body, (list, tuple)):
            msg = f"format 'csv' without columns needs a list as body, not {type(body).__name__}; name the columns"
            raise RecordError(msg)
        if not body:
            msg = "an empty list makes no line"
            raise RecordError(msg)
        return [
            value if type(value) in _AS_THEY_ARE else _field(f"field {place}", value)
            for place, value in enumerate(body, 1)
        ]

    def of_object(body: Any) -> Sequence[Any]:
        if not isinstance(body, Mapping):
            msg = f"format 'csv' with columns needs an object as body, not {type(body).__name__}"
            raise RecordError(msg)
        try:
            return [
                value if type(value := body[name]) in _AS_THEY_ARE else _field(f"column {name!r}", value)
                for name in names
            ]
        except KeyError:
            msg = f"the body has no {', '.join(repr(name) for name in names if name not in body)}"
            raise RecordError(msg) from None

    names = columns or []
    return of_list if columns is None else of_object


def _field(place: str, value: Any) -> str:
    """The text of a value that is not one of the plain ones."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (str, int, float)):
        return str(value)
    msg = f"{place} is a value of type {type(value).__name__}, which a field of CSV does not hold; map it to a text"
    raise RecordError(msg)
