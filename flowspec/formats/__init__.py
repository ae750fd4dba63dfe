"""How payloads become bodies and bodies become payloads, the same for every trigger and sink."""

from __future__ import annotations

from flowspec.formats.batches import encode_all
from flowspec.formats.choice import Format, FormatName, decoder, encoder, format_name, line_encoder
from flowspec.formats.contract import Decoder, Encoder, FormatWithOptions, LocalFormat, one_of
from flowspec.formats.csv import Csv, CsvFormat
from flowspec.formats.text import Text, TextFormat

__all__ = [
    "Csv",
    "CsvFormat",
    "Decoder",
    "Encoder",
    "Format",
    "FormatName",
    "FormatWithOptions",
    "LocalFormat",
    "Text",
    "TextFormat",
    "decoder",
    "encode_all",
    "encoder",
    "format_name",
    "line_encoder",
    "one_of",
]
