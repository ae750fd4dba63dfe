"""The clock of expressions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

__all__ = ["fixed_clock", "now"]

_fixed: list[datetime] = []


def now() -> datetime:
    """The present time, in UTC; within `fixed_clock`, its time."""
    return _fixed[-1] if _fixed else datetime.now(timezone.utc)


@contextmanager
def fixed_clock(time: datetime | None) -> Iterator[None]:
    """Let the clock stand still at a time, on all threads; without one it goes on."""
    if time is None:
        yield
        return
    _fixed.append(time.astimezone(timezone.utc))
    try:
        yield
    finally:
        _fixed.pop()
