"""The formats that every trigger and sink has."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from flowspec.errors import RecordError
from flowspec.formats.contract import Decoder, Encoder, FormatWithOptions, LocalFormat, one_of
from flowspec.formats.csv import Csv, CsvFormat
from flowspec.formats.plain import decode_bytes, decode_json, encode_bytes, encode_json
from flowspec.formats.text import Text, TextFormat

__all__ = ["Format", "FormatName", "decoder", "encoder", "format_name", "line_encoder"]

FormatName: TypeAlias = Literal["json", "text", "bytes", "csv"]

Format: TypeAlias = Annotated[FormatName | TextFormat | CsvFormat, one_of(TextFormat, CsvFormat)]
"""A format in a spec: its name, or an object with its options."""

_PLAIN: dict[str, tuple[Decoder, Encoder]] = {
    "json": (decode_json, encode_json),
    "bytes": (decode_bytes, encode_bytes),
}
_DEFAULTS: dict[str, LocalFormat] = {"text": TextFormat(text=Text()), "csv": CsvFormat(csv=Csv())}


def decoder(form: FormatName | LocalFormat) -> Decoder:
    """The function that decodes a payload; it raises `ValueError` for a payload that is not of that format."""
    if isinstance(form, LocalFormat):
        return form.decoder()
    return _PLAIN[form][0] if form in _PLAIN else _DEFAULTS[form].decoder()


def encoder(form: FormatName | LocalFormat) -> Encoder:
    """The function that encodes a body; it raises `RecordError`, `TypeError` or `ValueError` where it cannot."""
    if isinstance(form, LocalFormat):
        return form.encoder()
    return _PLAIN[form][1] if form in _PLAIN else _DEFAULTS[form].encoder()


def line_encoder(form: FormatName | LocalFormat) -> Encoder:
    """The encoder of a sink whose records are lines: it also refuses a payload that has a line end of its own."""
    encode = encoder(form)
    if form == "json":
        # JSON has line ends as escapes only.
        return encode

    def encode_line(body: Any) -> bytes:
        line = encode(body)
        if b"\n" in line:
            msg = "it has a line end, which a line cannot hold; use format json"
            raise RecordError(msg)
        return line

    return encode_line


def format_name(form: str | FormatWithOptions) -> str:
    """The name of a format, with options or without."""
    return form if isinstance(form, str) else form.name()
