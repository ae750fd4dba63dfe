"""When a trigger polls: every so often, or by a cron expression."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator

from flowspec.fields import Duration
from flowspec.model import SpecModel

__all__ = ["ClockSchedule", "Cron", "Every", "Interval", "Schedule"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        msg = f"there is no time zone {name!r}; write one like 'Europe/Madrid' or 'UTC'"
        raise ValueError(msg) from None
    return name


class Cron(SpecModel):
    """Times by the clock: a cron expression, in a time zone."""

    cron: Annotated[
        str,
        Field(
            description="Minute, hour, day of the month, month, day of the week; with six fields the first is the "
            "second.",
            examples=["*/5 * * * *", "0 6 * * MON-FRI"],
        ),
    ]
    time_zone: Annotated[
        str,
        AfterValidator(_time_zone),
        Field(
            description="The time zone of the expression, also for its daylight saving time.",
            examples=["Europe/Madrid"],
        ),
    ] = "UTC"

    @field_validator("cron")
    @classmethod
    def _is_valid(cls, value: str) -> str:
        from cronsim import CronSim, CronSimError

        try:
            next(CronSim(value, datetime.now(timezone.utc)))
        except (CronSimError, StopIteration):
            msg = f"{value!r} is not a cron expression; write five fields like '*/5 * * * *' or '0 6 * * MON-FRI'"
            raise ValueError(msg) from None
        return value

    def after(self, moment: datetime) -> datetime:
        """The first time after `moment`, which has a time zone."""
        return self._nearest(moment, reverse=False)

    def before(self, moment: datetime) -> datetime:
        """The last time before `moment`, which has a time zone."""
        return self._nearest(moment, reverse=True)

    def _nearest(self, moment: datetime, *, reverse: bool) -> datetime:
        from cronsim import CronSim

        return next(CronSim(self.cron, moment.astimezone(ZoneInfo(self.time_zone)), reverse=reverse))


Interval: TypeAlias = Annotated[Duration, Field(gt=0, le=31_536_000)] | Cron
"""Seconds between two polls, or the times by the clock."""


class Every:
    """Times by the clock: the multiples of a number of seconds since the beginning of 1970, UTC."""

    def __init__(self, seconds: float) -> None:
        self._length = timedelta(seconds=seconds)

    def after(self, moment: datetime) -> datetime:
        """The first time after `moment`, which has a time zone."""
        return self._multiple((moment - _EPOCH) // self._length + 1)

    def before(self, moment: datetime) -> datetime:
        """The last time before `moment`, which has a time zone."""
        return self._multiple(-((_EPOCH - moment) // self._length) - 1)

    def _multiple(self, number: int) -> datetime:
        return _EPOCH + number * self._length


class Schedule:
    """Polls every so many seconds. Ticks that have passed by the end of a poll are skipped."""

    def __init__(self, seconds: float) -> None:
        """Have the first poll due at once."""
        self._seconds = seconds
        self._due = time.monotonic()

    def remaining(self) -> float:
        """Seconds until the next poll is due; 0 or less when it is."""
        return self._due - time.monotonic()

    def skip_to_next(self) -> None:
        """Take note that a poll was made: the next one is due at the next tick from now on."""
        missed = max(0.0, time.monotonic() - self._due) // self._seconds
        self._due += (missed + 1) * self._seconds


class ClockSchedule:
    """Polls at times by the clock, whatever happens to the clock, and once at the beginning."""

    def __init__(self, times: Cron | Every) -> None:
        """Have the first poll due at once."""
        self._times = times
        self._due = datetime.now(timezone.utc)

    def remaining(self) -> float:
        """Seconds until the next poll is due; 0 or less when it is."""
        return (self._due - datetime.now(timezone.utc)).total_seconds()

    def skip_to_next(self) -> None:
        """Take note that a poll was made: the next one is due at the next time from now on."""
        self._due = self._times.after(datetime.now(timezone.utc))
