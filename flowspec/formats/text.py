"""The format text: the payload is one text."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from flowspec.errors import RecordError
from flowspec.formats.contract import Decoder, Encoder, Encoding, LocalFormat
from flowspec.model import SpecModel

__all__ = ["Text", "TextFormat"]


class Text(SpecModel):
    """Options of the format text."""

    encoding: Encoding = "utf-8"


class TextFormat(LocalFormat):
    """The payload is one text."""

    text: Annotated[Text, Field(description="Options of the format text.", examples=[{"encoding": "cp1252"}])]

    def decoder(self) -> Decoder:
        """Makes a text of a payload."""
        encoding = self.text.encoding

        def decode(raw: bytes | str) -> str:
            return raw if isinstance(raw, str) else raw.decode(encoding)

        return decode

    def encoder(self) -> Encoder:
        """Makes a payload of a text."""
        encoding = self.text.encoding

        def encode(body: Any) -> bytes:
            if not isinstance(body, str):
                msg = (
                    f"format 'text' needs a text as body, not {type(body).__name__}; "
                    "map it to a text, or use format 'json'"
                )
                raise RecordError(msg)
            return body.encode(encoding)

        return encode
