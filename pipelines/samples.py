"""Records on their way through a flow, as `pipelines sample` shows them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson

from flowspec.deadletters import faithful

if TYPE_CHECKING:
    from flowspec.preview import Passage, Preview
    from flowspec.records import Record

__all__ = ["as_json", "as_text"]

_LONGEST = 2_000
"""Characters of a value that people are shown."""


def as_json(preview: Preview) -> str:
    """A record as the lines of `sample --json` have it."""
    record = preview.received
    return _json(
        {
            "external_id": _external_id(preview),
            "origin": record.meta,
            "key": record.key,
            "headers": record.headers,
            "payload": _payload(record.raw),
            "steps": [_passage(passage) for passage in preview.passages],
            "records": [_left(each) for each in preview.left],
        }
    )


def as_text(number: int, preview: Preview) -> Iterator[str]:
    """A record in lines for people: of each step what it changed."""
    record = preview.received
    external_id = _external_id(preview)
    yield f"record {number}" + (f": {external_id}" if external_id is not None and external_id.isprintable() else "")
    lines = [("origin", record.meta), ("key", record.key), ("headers", record.headers)]
    shown = [(name, [_short(value)]) for name, value in lines if value not in (None, {})]
    shown.append(("received", [_cut(_text(record.raw))]))
    for step, group in groupby(preview.passages, key=lambda passage: passage.step):
        passages = list(group)
        for place, passage in enumerate(passages, 1):
            label = step if len(passages) == 1 else f"{step} [{place}]"
            shown.append((label, list(_changes(passage))))
    width = max(len(label) for label, _ in shown)
    for label, changes in shown:
        for at, change in enumerate(changes):
            yield f"  {label if at == 0 else '':{width}}  {change}"


def _passage(passage: Passage) -> dict[str, Any]:
    outcome = "failed" if passage.error is not None else "passed" if passage.left else "dropped"
    error = passage.error and {"type": type(passage.error).__name__, "message": str(passage.error)}
    return {
        "step": passage.step,
        "outcome": outcome,
        **({} if passage.branch is None else {"branch": passage.branch}),
        "records": [_left(record) for record in passage.left],
        "error": error,
    }


def _left(record: Record) -> dict[str, Any]:
    return {"external_id": record.external_id, "body": record.body}


def _external_id(preview: Preview) -> str | None:
    """The one that the stage for it made, or that a step has put in place of it first."""
    seen = [record for passage in preview.passages for record in passage.left]
    return next((record.external_id for record in seen if record.external_id is not None), preview.received.external_id)


def _changes(passage: Passage) -> Iterator[str]:
    if passage.error is not None:
        text = str(passage.error) or type(passage.error).__name__
        yield f"failed: {_cut(_text(text))}"
    elif passage.branch is not None:
        yield (f"to {passage.branch}" if passage.branch else "goes on") + ("" if passage.left else ": dropped")
    elif not passage.left:
        yield "dropped"
    elif len(passage.left) > 1:
        yield f"{len(passage.left)} records"
        for place, record in enumerate(passage.left, 1):
            yield f"[{place}] {_short(record.body)}"
    else:
        yield from list(_differences(passage.came, passage.left[0])) or ["unchanged"]


def _differences(came: Record, left: Record) -> Iterator[str]:
    if came.external_id != left.external_id:
        yield f"External ID {_short(left.external_id)}"
    for name in ("key", "headers", "meta"):
        if not _same(getattr(came, name), getattr(left, name)):
            yield f"{name} {_short(getattr(left, name))}"
    if _same(came.body, left.body):
        return
    yield from _of_fields(came.body, left.body) or [_short(left.body)]


def _of_fields(before: Any, after: Any) -> list[str]:
    """What changed of an object; nothing where it is shorter to show the new one."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return []
    changes = [f"+ {_text(name)}: {_short(after[name])}" for name in after if name not in before]
    for name in before:
        if name not in after:
            changes.append(f"- {_text(name)}")
        elif not _same(before[name], after[name]):
            changes.append(f"~ {_text(name)}: {_short(before[name])} -> {_short(after[name])}")
    return changes if len(changes) <= len(after) else []


def _same(one: Any, other: Any) -> bool:
    """Whether values are shown alike: 1, 1.0 and true are equal for Python."""
    return type(one) is type(other) and _json(one) == _json(other)


def _payload(raw: bytes | str) -> dict[str, str]:
    """What was received, as dead letters have it: `text`, or `base64` where it is not UTF-8."""
    if isinstance(raw, str):
        return {"text": raw}
    try:
        return {"text": raw.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _text(raw: Any) -> str:
    """In one line, and without what a terminal would take for an order."""
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)
    return text if text.isprintable() else _json(text)


def _short(value: Any) -> str:
    return _cut(_json(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, default=_readable, option=orjson.OPT_NON_STR_KEYS).decode()
    except (TypeError, ValueError):
        # A number of more than 64 bits, half a character, or too deep.
        return faithful.dumps(value)


def _readable(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return _payload(bytes(value))
    if isinstance(value, (set, frozenset)):
        return list(value)
    return str(value)
