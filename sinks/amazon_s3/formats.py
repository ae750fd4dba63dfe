"""What an object is made of: records in one of these formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from flowspec import formats
from flowspec.formats import CsvFormat, Encoder, FormatWithOptions, encode_all, encoder, one_of
from flowspec.records import Failure, Record
from sinks.amazon_s3.parquet import Parquet
from sources.contents.lines import LineEncoding

__all__ = ["Csv", "CsvObjects", "Encoded", "ObjectFormat", "ObjectFormatField", "ParquetObjects", "object_format"]


@dataclass(frozen=True)
class Encoded:
    """Records that go into one object, or into several where they are too many for one."""

    records: Sequence[Record]
    """Those that could be encoded."""
    sizes: Sequence[int]
    """How many bytes each of them takes, about."""
    content: Callable[[slice], bytes]
    """Makes the content of an object that has some of them."""
    failures: list[Failure]
    """The others."""


class ObjectFormat(ABC):
    """A format of whole objects."""

    extension: ClassVar[str]
    content_type: ClassVar[str]

    @abstractmethod
    def encode(self, records: Sequence[Record]) -> Encoded:
        """Encode records, those that can be."""


def _lines(records: Sequence[Record], encode: Encoder, end: bytes, header: bytes = b"") -> Encoded:
    good, lines, failures = encode_all(records, encode)

    def content(part: slice) -> bytes:
        return header + end.join(lines[part]) + end

    return Encoded(good, [len(line) + len(end) for line in lines], content, failures)


class JsonLinesObjects(ObjectFormat):
    """A JSON value in each line."""

    extension: ClassVar[str] = ".jsonl"
    content_type: ClassVar[str] = "application/x-ndjson"

    def encode(self, records: Sequence[Record]) -> Encoded:
        """A line for each record."""
        return _lines(records, encoder("json"), b"\n")


class Csv(formats.Csv):
    """Options of the format csv."""

    header: Annotated[
        bool,
        Field(description="Whether each object begins with the names of its columns.", examples=[False]),
    ] = True
    encoding: LineEncoding = "utf-8"


class CsvObjects(FormatWithOptions, ObjectFormat):
    """Rows of CSV (RFC 4180): the fields of an object that are columns, or the items of a list."""

    extension: ClassVar[str] = ".csv"
    content_type: ClassVar[str] = "text/csv"
    csv: Annotated[
        Csv,
        Field(
            description="Options of the format csv.", examples=[{"columns": ["order_id", "total"], "delimiter": ";"}]
        ),
    ]

    def encode(self, records: Sequence[Record]) -> Encoded:
        """A row for each record."""
        options = self.csv.model_dump(include=set(formats.Csv.model_fields))
        encode = CsvFormat.model_validate({"csv": options}).encoder()
        columns = self.csv.columns
        header = encode(dict(zip(columns, columns, strict=True))) + b"\r\n" if columns and self.csv.header else b""
        return _lines(records, encode, b"\r\n", header)


class ParquetObjects(FormatWithOptions, ObjectFormat):
    """Rows of Parquet: the fields of an object are columns."""

    extension: ClassVar[str] = ".parquet"
    content_type: ClassVar[str] = "application/vnd.apache.parquet"
    parquet: Annotated[
        Parquet,
        Field(
            description="Options of the format parquet.",
            examples=[{"columns": {"order_id": "int64", "total": "decimal(12, 2)", "placed_at": "timestamp"}}],
        ),
    ]

    def encode(self, records: Sequence[Record]) -> Encoded:
        """A row for each record."""
        from sinks.amazon_s3.tables import to_table, written

        good, table, failures = to_table(records, self.parquet.columns)
        each = table.nbytes // max(1, len(good)) + 1

        def content(part: slice) -> bytes:
            return written(table.slice(part.start, part.stop - part.start), self.parquet.compression)

        return Encoded(good, [each] * len(good), content, failures)


_Name: TypeAlias = Literal["json-lines", "csv", "parquet"]

ObjectFormatField: TypeAlias = Annotated[
    _Name | CsvObjects | ParquetObjects,
    one_of(CsvObjects, ParquetObjects),
    Field(
        description="How records become an object: a JSON value in each line, rows of CSV, or of Parquet. A name, or "
        "an object with one key, the name, that holds options.",
        examples=["json-lines", {"csv": {"columns": ["id", "name"]}}, {"parquet": {"columns": {"id": "int64"}}}],
    ),
]
"""The `format` of a sink that writes objects."""

_DEFAULTS: dict[str, ObjectFormat] = {
    "json-lines": JsonLinesObjects(),
    "csv": CsvObjects(csv=Csv()),
    "parquet": ParquetObjects(parquet=Parquet()),
}


def object_format(form: str | ObjectFormat) -> ObjectFormat:
    """The format that a field has."""
    return form if isinstance(form, ObjectFormat) else _DEFAULTS[form]
