"""The formats without options: json, and bytes."""

from __future__ import annotations

from typing import Any

import orjson

from flowspec.errors import RecordError

__all__ = ["decode_bytes", "decode_json", "encode_bytes", "encode_json"]

decode_json = orjson.loads


def encode_json(body: Any) -> bytes:
    """The body as JSON; dates become ISO 8601 texts, sets sorted lists, and what JSON does not have either a text."""
    # The slice is a copy, and it is what makes this fast where many payloads are kept: orjson's own result is the
    # beginning of a block of 1 KiB, whose rest glibc gives back to the system, and takes again, for each of them.
    return orjson.dumps(body, _json_default, orjson.OPT_APPEND_NEWLINE)[:-1]


def _json_default(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, bytes):
        return _json_text(value)
    return str(value)


def _json_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"it has bytes that are not UTF-8 ({error.reason}); make a text of them with base64()"
        raise RecordError(msg) from error


def decode_bytes(raw: bytes | str) -> bytes:
    """The payload as it is; a text as UTF-8."""
    return raw.encode("utf-8") if isinstance(raw, str) else raw


def encode_bytes(body: Any) -> bytes:
    """The body as it is; a text as UTF-8."""
    if isinstance(body, str):
        return body.encode("utf-8")
    if not isinstance(body, bytes):
        msg = f"format 'bytes' needs bytes or a text as body, not {type(body).__name__}; use format 'json'"
        raise RecordError(msg)
    return body
