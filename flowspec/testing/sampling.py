"""Making a test of records that a system has at this moment."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from flowspec.connectors import StreamTrigger
from flowspec.errors import FlowError, RecordError
from flowspec.formats import format_name
from flowspec.records import Record
from flowspec.spec import FlowSpec
from flowspec.testing.comparing import seen_of
from flowspec.testing.ends import is_local
from flowspec.testing.model import Expected, SpecTest
from flowspec.testing.plain import plain
from flowspec.testing.running import run_test

__all__ = ["sampled_test"]


def sampled_test(spec: FlowSpec, records: Sequence[Record], now: datetime) -> dict[str, Any]:
    """A test as it is written down, of records as the trigger of a flow hands them over.

    It expects what the flow makes of them now, and its clock stands still at that time. A record that its trigger could
    not decode is left out, as a test gives bodies to such a trigger.

    Raises:
        FlowError: no record is left.
    """
    records = [record for record in records if not isinstance(record.body, RecordError)]
    if not records:
        msg = "there is no record to make a test of"
        raise FlowError(msg)
    at = now.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    test = {"name": f"sample of {at}", "clock": at, "given": [_given(spec, record) for record in records]}
    outcome = run_test(spec, SpecTest.model_validate(test))
    return {**test, "expect": seen_of(outcome, Expected())}


def _given(spec: FlowSpec, record: Record) -> dict[str, Any]:
    given = _content(spec, record)
    rest = {"headers": record.headers, "key": record.key, "meta": record.meta}
    return {**given, **{name: plain(value) for name, value in rest.items() if value not in ({}, None)}}


def _content(spec: FlowSpec, record: Record) -> dict[str, Any]:
    trigger = spec.trigger
    if not isinstance(trigger, StreamTrigger):
        return {"body": plain(record.body)}
    if not is_local(trigger):
        return {"body": plain(trigger.decoder()(record.raw))}
    if format_name(trigger.format) == "json":
        try:
            return {"body": trigger.decoder()(record.raw)}
        except ValueError:
            pass
    raw = record.raw
    if isinstance(raw, str):
        return {"payload": raw}
    try:
        return {"payload": raw.decode()}
    except UnicodeDecodeError:
        return {"payload": {"base64": base64.b64encode(raw).decode()}}
