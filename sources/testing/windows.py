"""The windows that should come of records, in the slowest and most obvious way: what a flow is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from fractions import Fraction
from typing import Any

__all__ = ["VALUES", "Golden", "Sighting", "golden"]

VALUES: dict[str, Any] = {
    "records": "count",
    "large": {"count": "(amount or 0) > 50"},
    "total": {"sum": "amount"},
    "mean": {"avg": "amount"},
    "least": {"min": "amount"},
    "most": {"max": "amount"},
    "first": {"first": "id"},
    "last": {"last": "id"},
    "ids": {"collect": "id"},
    "p90": {"percentile": "amount", "at": 90},
}
"""The `values` of the step."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """A record of the input, which is not another one, though it may look like that."""

    id: int
    key: str
    at: int
    """Its time, in seconds since 1970."""
    amount: int | None

    def body(self) -> dict[str, Any]:
        """As it is sent."""
        return {"id": self.id, "customer": self.key, "at": self.at, "amount": self.amount}


@dataclass
class Golden:
    """The right answer."""

    windows: list[dict[str, Any]] = field(default_factory=list)
    """Their bodies, in no order that means anything."""
    late: list[int] = field(default_factory=list)
    """The ids of the records whose windows were closed."""

    def by_start(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The windows by key and start."""
        return {(window["key"], window["start"]): window for window in self.windows}


def golden(sightings: Iterable[Sighting], shape: Mapping[str, Any], lateness: int) -> Golden:
    """The windows of records, had each key all its records in that order, and was time only what they say.

    Args:
        sightings: The records.
        shape: `{"tumbling": 60}`, `{"sliding": {"size": 600, "every": 60}}` or `{"session": 60}`, in seconds.
        lateness: As the step has it, in seconds.
    """
    answer = Golden()
    by_key: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        by_key.setdefault(sighting.key, []).append(replace(sighting))
    for records in by_key.values():
        if "session" in shape:
            _sessions(records, shape["session"], lateness, answer)
        else:
            sliding = shape.get("sliding") or {"size": shape["tumbling"], "every": shape["tumbling"]}
            _sliding(records, sliding["size"], sliding["every"], lateness, answer)
    return answer


def _sliding(records: Sequence[Sighting], size: int, every: int, lateness: int, answer: Golden) -> None:
    belonging: dict[int, list[Sighting]] = {}
    for number, record in enumerate(records):
        before = [earlier.at for earlier in records[:number]]
        first_possible = (record.at - size) // every * every
        starts = [
            start
            for start in range(first_possible, record.at + 1, every)
            if start <= record.at < start + size and not (before and start + size <= max(before) - lateness)
        ]
        for start in starts:
            belonging.setdefault(start, []).append(record)
        if not starts:
            answer.late.append(record.id)
    answer.windows += [_window(belonging[start], start, start + size) for start in belonging]


def _sessions(records: Sequence[Sighting], gap: int, lateness: int, answer: Golden) -> None:
    sessions: list[list[Sighting]] = []
    over: list[list[Sighting]] = []
    for number, record in enumerate(records):
        before = [earlier.at for earlier in records[:number]]
        if before:
            over += [each for each in sessions if _latest(each) + gap <= max(before) - lateness]
            sessions = [each for each in sessions if each not in over]
        near = [each for each in sessions if any(abs(record.at - other.at) < gap for other in each)]
        if not near and before and record.at + gap <= max(before) - lateness:
            answer.late.append(record.id)
            continue
        together = [other for each in near for other in each] + [record]
        sessions = [each for each in sessions if each not in near] + [together]
    # The others are over when the data is.
    for session in over + sessions:
        in_order = [record for record in records if record in session]
        answer.windows.append(_window(in_order, min(record.at for record in session), _latest(session) + gap))


def _latest(records: Iterable[Sighting]) -> int:
    return max(record.at for record in records)


def _window(records: Sequence[Sighting], start: int, end: int) -> dict[str, Any]:
    by_time = sorted(records, key=lambda record: record.at)
    amounts = sorted(record.amount for record in records if record.amount is not None)
    return {
        "key": records[0].key,
        "start": _text(start),
        "end": _text(end),
        "records": len(records),
        "large": sum(amount > 50 for amount in amounts),  # noqa: PLR2004 - as in VALUES
        "total": sum(amounts),
        "mean": sum(amounts) / len(amounts) if amounts else None,
        "least": amounts[0] if amounts else None,
        "most": amounts[-1] if amounts else None,
        "first": by_time[0].id,
        "last": by_time[-1].id,
        "ids": [record.id for record in by_time],
        "p90": _percentile(amounts, Fraction(90, 100)),
    }


def _percentile(amounts: Sequence[int], share: Fraction) -> float | None:
    if not amounts:
        return None
    # The n amounts divide the whole into n - 1 equal parts; in between the value is on the straight line.
    place = share * (len(amounts) - 1)
    below = amounts[int(place)]
    above = amounts[min(int(place) + 1, len(amounts) - 1)]
    return float(below + (above - below) * (place - int(place)))


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
