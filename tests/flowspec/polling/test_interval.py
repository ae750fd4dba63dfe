"""When polls are due."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter, ValidationError

from flowspec.polling.interval import ClockSchedule, Cron, Every, Interval, Schedule

_adapter: TypeAdapter[Any] = TypeAdapter(Interval)


def test_an_interval_is_a_duration_or_a_cron_expression() -> None:
    assert _adapter.validate_python("250ms") == 0.25
    assert _adapter.validate_python({"cron": "*/5 * * * *"}) == Cron(cron="*/5 * * * *")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "greater than 0"),
        ({"cron": "every day"}, "'every day' is not a cron expression; write five fields"),
        ({"cron": "0 0 30 2 *"}, "is not a cron expression"),
        ({"cron": "* * * * *", "time_zone": "Mars/Olympus"}, "there is no time zone 'Mars/Olympus'"),
    ],
)
def test_what_is_no_interval_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _adapter.validate_python(value)


def test_a_cron_expression_follows_its_time_zone_and_daylight_saving_time() -> None:
    cron = Cron(cron="30 2 * * *", time_zone="Europe/Madrid")
    before_summer = datetime(2024, 3, 30, 12, tzinfo=timezone.utc)
    ticks = [cron.after(before_summer)]
    for _ in range(2):
        ticks.append(cron.after(ticks[-1]))
    madrid = ZoneInfo("Europe/Madrid")
    # At 02:30 of the 31st the clocks have gone to 03:00: it is made up for at once.
    assert ticks == [
        datetime(2024, 3, 31, 3, 0, tzinfo=madrid),
        datetime(2024, 4, 1, 2, 30, tzinfo=madrid),
        datetime(2024, 4, 2, 2, 30, tzinfo=madrid),
    ]


def test_the_first_poll_is_due_at_once_and_missed_ticks_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    schedule = Schedule(10.0)
    assert schedule.remaining() == 0
    now = 1003.0
    schedule.skip_to_next()
    assert schedule.remaining() == 7.0
    now = 1035.0
    schedule.skip_to_next()
    assert schedule.remaining() == 5.0, "at 1010, 1020 and 1030 it was late, and it keeps its beat"


def test_by_the_clock_the_next_poll_is_due_at_the_next_tick() -> None:
    schedule = ClockSchedule(Cron(cron="* * * * *"))
    assert schedule.remaining() <= 0
    schedule.skip_to_next()
    assert 0 < schedule.remaining() <= 60


def test_multiples_of_an_interval_are_the_same_for_everybody() -> None:
    hours = Every(3600)
    full = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
    later = full + timedelta(seconds=1)
    assert (hours.before(later), hours.after(later)) == (full, full + timedelta(hours=1))
    assert (hours.before(full), hours.after(full)) == (full - timedelta(hours=1), full + timedelta(hours=1))
