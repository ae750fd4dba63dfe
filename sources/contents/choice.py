"""The `format` of a trigger that reads files or objects."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from flowspec.fields import ByteSize
from flowspec.formats import one_of
from sources.contents.contract import ContentFormat
from sources.contents.csv import Csv, CsvRows
from sources.contents.lines import JsonLines, Text, TextLines
from sources.contents.parquet import Parquet, ParquetRows
from sources.contents.whole import Bytes, Json, JsonContent, WholeText, WholeTextContent

__all__ = ["Compression", "Format", "FormatField", "MaxRowField", "content_format", "is_compressed"]

_Name: TypeAlias = Literal["json-lines", "json", "csv", "text", "whole-text", "bytes", "parquet"]

Format: TypeAlias = Annotated[
    _Name | JsonContent | CsvRows | TextLines | WholeTextContent | ParquetRows,
    one_of(JsonContent, CsvRows, TextLines, WholeTextContent, ParquetRows),
]
"""A format in a spec: its name, or an object with its options."""

FormatField: TypeAlias = Annotated[
    Format,
    Field(
        description="What the records are. Each line or row with `json-lines`, `text`, `csv`, `parquet`; the items of "
        "a list with `json`, where `items` says where that is; otherwise, and with `whole-text` and `bytes`, the whole "
        "content. A name, or an object with one key, the name, that holds options.",
        examples=["json-lines", {"csv": {"delimiter": ";", "encoding": "cp1252"}}, {"json": {"items": True}}],
    ),
]
"""The field of a trigger."""

MaxRowField: TypeAlias = Annotated[
    ByteSize,
    Field(
        gt=0,
        le=1024**3,
        description="The most bytes that a record may have, or a content that is read as a whole; a larger one is a "
        "dead letter with its beginning.",
        examples=["64MiB"],
    ),
]
"""The field of a trigger for `Content.max_row`."""

Compression: TypeAlias = Annotated[
    Literal["auto", "gzip", "none"],
    Field(
        description="Whether contents are compressed; `auto` goes by the name, which then ends with `.gz`.",
        examples=["gzip"],
    ),
]
"""The field of a trigger for `Content.compressed`."""

_DEFAULTS: dict[str, ContentFormat] = {
    "json-lines": JsonLines(),
    "json": JsonContent.model_validate({"json": Json()}),
    "csv": CsvRows(csv=Csv()),
    "text": TextLines(text=Text()),
    "whole-text": WholeTextContent.model_validate({"whole-text": WholeText()}),
    "bytes": Bytes(),
    "parquet": ParquetRows(parquet=Parquet()),
}


def content_format(form: str | ContentFormat) -> ContentFormat:
    """The format that a field has."""
    return form if isinstance(form, ContentFormat) else _DEFAULTS[form]


def is_compressed(compression: str, name: str) -> bool:
    """Whether the content of that name is compressed by gzip, where the field `compression` says so."""
    return compression == "gzip" or (compression == "auto" and name.lower().endswith(".gz"))
