"""Types of spec fields that many models share."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

__all__ = ["ByteSize", "Duration", "WholeSeconds"]

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|kB|MB|GB)?\s*$")
_BYTES = {
    "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.match(value)
    if match is None:
        msg = f"{value!r} is not a duration; write a number of seconds, or '250ms', '5s', '10m', '1h', '7d'"
        raise ValueError(msg)
    return float(match[1]) * _SECONDS[match[2] or "s"]


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _SIZE.match(value)
    if match is None:
        msg = f"{value!r} is not a size; write a number of bytes, or '64KiB', '100MB', '1GiB'"
        raise ValueError(msg)
    return int(float(match[1]) * _BYTES[match[2] or "B"])


_DURATION_SCHEMA = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _DURATION.pattern}]})

Duration = Annotated[float, BeforeValidator(_seconds), _DURATION_SCHEMA]
"""Seconds, written as a number or as text with a unit: `"250ms"`, `"5s"`, `"10m"`, `"1h"`, `"7d"`."""

WholeSeconds = Annotated[int, BeforeValidator(_seconds), _DURATION_SCHEMA]
"""A `Duration` for systems that count in whole seconds."""

ByteSize = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _SIZE.pattern}]}),
]
"""Bytes, written as a number or as text with a unit: `"64KiB"`, `"100MB"`, `"1GiB"`."""
