"""How payloads become bodies and bodies become payloads, the same for every trigger and sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import orjson

from flowspec.errors import RecordError
from flowspec.records import Failure, Record

__all__ = ["Decoder", "Encoder", "Format", "decoder", "encode_all", "encoder"]

Format: TypeAlias = Literal["json", "text", "bytes"]
Decoder: TypeAlias = Callable[["bytes | str"], Any]
Encoder: TypeAlias = Callable[[Any], bytes]


def _decode_text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode("utf-8")


def _decode_bytes(raw: bytes | str) -> bytes:
    return raw.encode("utf-8") if isinstance(raw, str) else raw


_DECODERS: dict[Format, Decoder] = {"json": orjson.loads, "text": _decode_text, "bytes": _decode_bytes}


def decoder(name: Format) -> Decoder:
    """The function that decodes a payload; it raises `ValueError` for a payload that is not of that format."""
    return _DECODERS[name]


def _json_default(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return str(value)


def _encode_json(body: Any) -> bytes:
    # The slice is a copy, and it is what makes this fast where many payloads are kept: orjson's own result is the
    # beginning of a block of 1 KiB, whose rest glibc gives back to the system, and takes again, for each of them.
    return orjson.dumps(body, _json_default, orjson.OPT_APPEND_NEWLINE)[:-1]


def _encode_text(body: Any) -> bytes:
    if not isinstance(body, str):
        msg = f"format 'text' needs a text as body, not {type(body).__name__}; map it to a text, or use format 'json'"
        raise RecordError(msg)
    return body.encode("utf-8")


def _encode_bytes(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8")
    if not isinstance(body, bytes):
        msg = f"format 'bytes' needs bytes or a text as body, not {type(body).__name__}; use format 'json'"
        raise RecordError(msg)
    return body


_ENCODERS: dict[Format, Encoder] = {"json": _encode_json, "text": _encode_text, "bytes": _encode_bytes}


def encoder(name: Format) -> Encoder:
    """The function that encodes a body; it raises `RecordError`, `TypeError` or `ValueError` where it cannot."""
    return _ENCODERS[name]


def encode_all(records: Sequence[Record], encode: Encoder) -> tuple[Sequence[Record], list[bytes], list[Failure]]:
    """Encode a batch: the records that could be encoded, their payloads beside them, and the others."""
    try:
        return records, [encode(record.body) for record in records], []
    except (RecordError, TypeError, ValueError):
        good: list[Record] = []
        payloads: list[bytes] = []
        failures: list[Failure] = []
        for record in records:
            try:
                payloads.append(encode(record.body))
                good.append(record)
            except (RecordError, TypeError, ValueError) as error:
                failures.append(Failure(record, RecordError(f"body cannot be encoded: {error}")))
        return good, payloads, failures
