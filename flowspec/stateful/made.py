"""Records that a step with a memory makes of many."""

from __future__ import annotations

import time
from typing import Any

import orjson

from flowspec.records import Record, Trace

__all__ = ["made_of_many"]


def made_of_many(body: Any, step: str, key: str, external_id: str | None, meta: dict[str, Any]) -> Record:
    """A record that begins at a step; where it fails later, it makes its way once more from behind the step.

    Args:
        body: What the step made; also its payload, as JSON.
        step: Id of the step.
        key: The key under which the step remembered what it is made of.
        external_id: Its business key.
        meta: What else is to be known.
    """
    raw = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    trace = Trace(body, after=step, received_at=time.time())
    return Record(raw, body, {"step": step, **meta}, key, {}, external_id, trace)
