"""What a record fills in of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx

from flowspec.errors import RecordError
from sources.http.addresses import joined, with_query

__all__ = ["filled_headers", "filled_url"]

_IN_HEADER = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def filled_url(base_url: str | None, url: str, query: Mapping[str, str]) -> str:
    """A URL with its query, of whose parameters the empty ones are left out.

    Raises:
        RecordError: it is none, or has what no URL has.
    """
    try:
        whole = with_query(joined(base_url, url), {name: text for name, text in query.items() if text})
        httpx.URL(whole)
    except httpx.InvalidURL as error:
        msg = f"url: {error}; use quote() for what is filled in"
        raise RecordError(msg) from error
    except UnicodeEncodeError as error:
        msg = f"url: it has a character that UTF-8 does not have: {error}"
        raise RecordError(msg) from error
    return whole


def filled_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by names in lower case; the empty ones are left out.

    Raises:
        RecordError: one has what no header has.
    """
    filled = {}
    for name, text in headers.items():
        if not _IN_HEADER.fullmatch(text):
            msg = f"header {name!r} cannot have a line end or another control character"
            raise RecordError(msg)
        if text:
            filled[name.lower()] = text.strip()
    return filled
