"""A request as it was received, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

__all__ = ["Answer", "Request", "accepted", "refused"]

_RETRY_AFTER = b"1"
"""Seconds."""
_TRY_AGAIN = frozenset({429, 503})


@dataclass(slots=True)
class Request:
    """One request; the body is empty until all of it is here."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """By their names in lower case; one that came several times is joined by commas."""
    remote: str
    """Address of whoever is at the other end of the connection."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON object and headers of an answer."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def accepted(request_id: str) -> Answer:
    """The answer that promises: the request will not be lost."""
    return Answer(202, orjson.dumps({"request_id": request_id}))


def refused(status: int, error: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer that says what is wrong, to the person who looks into the sender's log."""
    if status in _TRY_AGAIN:
        headers = (*headers, (b"retry-after", _RETRY_AFTER))
    return Answer(status, orjson.dumps({"error": error}), headers)
