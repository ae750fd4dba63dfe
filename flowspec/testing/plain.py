"""Values as JSON has them, so that they can be written down and compared."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from flowspec.errors import RecordError
from flowspec.formats import encoder

__all__ = ["plain"]

_encode = encoder("json")


def plain(value: Any) -> Any:
    """`value` as a sink of format json writes it: dates are ISO 8601 texts, sets sorted lists, decimals texts.

    Bytes that are not UTF-8, which such a sink refuses, are an object with `base64`.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    try:
        return orjson.loads(_encode(value))
    except (RecordError, TypeError, ValueError):
        return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else str(value)
