"""A request as a record, and a record as an entry of the spool."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Set
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

import orjson

from flowspec.records import Record
from sources.webhook.http import Request

__all__ = ["CREDENTIALS", "from_entry", "to_entry", "to_record"]

CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
"""Headers that no record has."""
_LENGTH = struct.Struct(">I")


def to_record(request: Request, left_out: Set[str]) -> Record:
    """The record of a request, without the headers that are `left_out`; its payload is not decoded yet."""
    meta = {
        "request_id": uuid.uuid4().hex,
        "method": request.method,
        "path": request.path,
        "query": _query(request.query),
        "remote": request.remote,
        "received_at": datetime.now(timezone.utc),
    }
    headers = {name: value for name, value in request.headers.items() if name not in left_out}
    return Record(request.body, None, meta, None, headers)


def to_entry(record: Record) -> bytes:
    """What is kept of a record that a request made."""
    head = orjson.dumps([record.meta, record.headers])
    body = record.raw if isinstance(record.raw, bytes) else record.raw.encode()
    return _LENGTH.pack(len(head)) + head + body


def from_entry(entry: bytes) -> Record:
    """The record that was kept."""
    (length,) = _LENGTH.unpack_from(entry)
    start = _LENGTH.size + length
    meta, headers = orjson.loads(entry[_LENGTH.size : start])
    meta["received_at"] = datetime.fromisoformat(meta["received_at"])
    return Record(entry[start:], None, meta, None, headers)


def _query(text: str) -> dict[str, Any]:
    """The parameters; one that is there several times is a list."""
    values: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in values:
            values[name] = value
        elif isinstance(values[name], list):
            values[name].append(value)
        else:
            values[name] = [values[name], value]
    return values
