"""The key by which a server knows a request that is made again."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowspec.expressions import Template
    from flowspec.records import Record

__all__ = ["digest", "idempotency_key"]

_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(template: Template | None, record: Record, url: str, payload: bytes) -> str:
    """The text of a template, or else the External ID, or else a hash of URL and body; as a header can have it.

    Raises:
        RecordError: the template cannot be filled in.
    """
    text = record.external_id if template is None else template.value(record)
    if text:
        return text if _KEY.fullmatch(text) else digest(text.encode("utf-8", "surrogatepass"))
    return digest(url.encode("utf-8", "surrogatepass"), payload)


def digest(*parts: bytes) -> str:
    """A hash of parts, in 40 characters."""
    made = hashlib.sha256()
    for part in parts:
        made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()[:40]
