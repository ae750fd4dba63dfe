"""The time of a record, in whole microseconds since the epoch: sums of floats would be a little off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flowspec.errors import RecordError
from flowspec.expressions.clock import now

if TYPE_CHECKING:
    from flowspec.expressions import Expression
    from flowspec.records import Record

__all__ = ["SECOND", "micros", "micros_now", "seconds", "text_of", "times_of"]

SECOND = 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def micros(duration: float) -> int:
    """Seconds as microseconds."""
    return round(duration * SECOND)


def seconds(time: int) -> float:
    """Microseconds as seconds."""
    return time / SECOND


def micros_now() -> int:
    """The present time."""
    return (now() - _EPOCH) // _MICROSECOND


def text_of(time: int) -> str:
    """A time as ISO 8601 in UTC, for people and other systems."""
    return (_EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")


def times_of(expression: Expression, records: Sequence[Record]) -> list[int]:
    """The times of a batch.

    Raises:
        RecordError: of the first record that has none.
    """
    return [_time_of(value, expression) for value in expression.values(records)]


def _time_of(value: Any, expression: Expression) -> int:
    """A time, an ISO 8601 text, or seconds since the epoch; without a zone it is UTC."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime):
            return ((value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - _EPOCH) // _MICROSECOND
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            time = round(value * SECOND)
            text_of(time)
            return time
    except (ValueError, OverflowError):
        pass
    msg = f"the time {expression.source} is {value!r:.100}, which is no time, ISO 8601 text or seconds since 1970"
    raise RecordError(msg)
