"""A record that failed, and all that is known of its failure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import orjson

from flowspec.deadletters.faithful import INTEGERS, text_of
from flowspec.errors import RecordError
from flowspec.records import Record

__all__ = ["DeadLetter", "Letter", "error_of"]

_DEEPEST = 100
"""Levels of lists and objects that are shown as such; orjson writes 254."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that failed just now."""

    record: Record
    step: str
    """Id of the step or sink that failed, `decode` or `external_id`."""
    error: BaseException
    attempts: int
    """How often it was tried, before a restart as well."""
    first_try: float
    """Seconds since the epoch."""
    next_try: float | None = None
    """When it is tried again, in seconds since the epoch; None where it is given up."""
    sink: str = ""
    """The sink that refused it; empty where a step failed, so that no sink has it."""
    identity: str | None = None
    """What tells the record from all others, also when it comes again; None where that cannot be known."""

    @property
    def part(self) -> tuple[int, ...]:
        """Which one it is of those that steps made of one record."""
        return () if self.record.trace is None else self.record.trace.part

    @property
    def known(self) -> Letter | None:
        """The letter of the store that it was taken from."""
        return None if self.record.trace is None else self.record.trace.letter

    def envelope(self, flow: str, now: float) -> dict[str, Any]:
        """The letter as a sink gets it, in what JSON has."""
        times = {"first_try": self.first_try, "last_try": now, "next_try": self.next_try}
        return _envelope(flow, self.record, self.step, error_of(self.error), attempts=self.attempts, times=times)


@dataclass(slots=True, eq=False)
class Letter:
    """A letter of the store."""

    id: int
    record: Record
    step: str
    sink: str
    """The sink that is to get it; empty where each is."""
    error: dict[str, Any]
    """`type`, `message` and `cause`."""
    attempts: int
    first_try: float
    last_try: float
    next_try: float | None
    part: tuple[int, ...]
    """Which one it is of those that steps made of one record."""
    has_failed_again: bool = False
    """Whether it failed since it was taken from the store."""

    def envelope(self, flow: str) -> dict[str, Any]:
        """The letter as it is shown and exported, in what JSON has.

        It has: `id`, `flow`, `external_id`, `step`, `error` (`type`, `message`, `cause`), `attempts`, `first_try`,
        `last_try` and `next_try` (UTC; null where it is given up), `origin` (the record's `meta`), `key`, `headers`,
        and the `payload` exactly as it was received: `text`, or `base64` where it is not UTF-8. `body` is what the step
        that failed was given, null where the payload was not decoded; what JSON does not have is in it as text.
        """
        times = {"first_try": self.first_try, "last_try": self.last_try, "next_try": self.next_try}
        return {
            "id": self.id,
            **_envelope(flow, self.record, self.step, self.error, attempts=self.attempts, times=times),
        }


def error_of(error: BaseException) -> dict[str, Any]:
    """What is kept of an error."""
    cause = error.__cause__
    return {
        "type": type(error).__name__,
        "message": _text(error),
        "cause": None if cause is None else f"{type(cause).__name__}: {_text(cause)}",
    }


def _envelope(
    flow: str,
    record: Record,
    step: str,
    error: dict[str, Any],
    *,
    attempts: int,
    times: dict[str, float | None],
) -> dict[str, Any]:
    return {
        "flow": flow,
        "external_id": _plain(record.external_id),
        "step": step,
        "error": error,
        "attempts": attempts,
        **{name: None if seconds is None else _time(seconds) for name, seconds in times.items()},
        "origin": _plain(record.meta),
        "key": _plain(record.key),
        "headers": _plain(record.headers),
        "payload": _payload(record.raw),
        "body": None if isinstance(record.body, RecordError) else _plain(record.body),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")


def _payload(raw: bytes | str) -> dict[str, str]:
    try:
        data = raw.encode("utf-8") if isinstance(raw, str) else raw
        return {"text": data.decode("utf-8")}
    except UnicodeEncodeError:
        return {"base64": base64.b64encode(str(raw).encode("utf-8", "surrogatepass")).decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _text(value: object) -> str:
    """`value` as a text that can be stored: it may have half a surrogate pair, or fail to say what it is."""
    return text_of(value).encode("utf-8", "backslashreplace").decode()


def _plain(value: Any, deepest: int = _DEEPEST) -> Any:
    """`value` in what JSON has; a dead letter must never fail because of what it describes."""
    if value is None or type(value) is bool or (type(value) is int and value in INTEGERS):
        return value
    if type(value) in (float, datetime):
        # What JSON has not, like an infinite number, is null.
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_UTC_Z))
    if isinstance(value, (bytes, bytearray)):
        return _payload(bytes(value))
    if deepest and isinstance(value, dict):
        return {_text(name): _plain(item, deepest - 1) for name, item in value.items()}
    if deepest and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, deepest - 1) for item in value]
    return _text(value)
