"""Ticks by the clock; the poller is asked at times of the test."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import sources.schedule
from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from flowspec.polling import Page
from sources.schedule import Tick
from sources.testing.flows import Flow
from sources.testing.lab import Lab
from sources.testing.models import check_mistakes, check_model

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


class Clock:
    """The poller of a tick, at a time that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, trigger: Tick, began: datetime = NOON) -> None:
        self.now = began
        clock = self

        class Now(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return clock.now.astimezone(tz)

        monkeypatch.setattr(sources.schedule, "datetime", Now)
        context = WorkerContext("flow", 0, 1, threading.Event(), Health("trigger"))
        self._poller = trigger.poller(trigger.since, context)

    def poll(self, cursor: Any, after: timedelta = timedelta(), most: int = 100) -> Page:
        self.now += after
        return self._poller.poll(cursor, most)


def times(page: Page) -> list[str]:
    return [record.body["time"] for record in page.records]


def test_a_new_flow_begins_with_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, Tick(interval="10m"))
    first = clock.poll(None)
    assert (times(first), first.cursor) == ([], "2024-05-01T12:00:00+00:00")
    page = clock.poll(first.cursor, timedelta(minutes=10, seconds=2))
    assert times(page) == ["2024-05-01T12:10:00+00:00"]
    assert page.records[0].meta == {"late": 2.0}
    assert page.records[0].raw == b'{"time":"2024-05-01T12:10:00+00:00"}'
    assert times(clock.poll(page.cursor)) == []


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("skip", []),
        ("once", ["2024-05-01T12:00:00+00:00"]),
        ("all", [f"2024-05-01T11:{minute}0:00+00:00" for minute in range(1, 6)] + ["2024-05-01T12:00:00+00:00"]),
    ],
)
def test_ticks_while_the_flow_was_down(monkeypatch: pytest.MonkeyPatch, missed: Any, expected: list[str]) -> None:
    clock = Clock(monkeypatch, Tick(interval="10m", missed=missed), began=NOON + timedelta(seconds=5))
    page = clock.poll("2024-05-01T11:00:00+00:00")
    assert times(page) == expected
    next_page = clock.poll(page.cursor, timedelta(minutes=10))
    assert times(next_page) == ["2024-05-01T12:10:00+00:00"]


@pytest.mark.parametrize(("missed", "count"), [("skip", 1), ("once", 1), ("all", 6)])
def test_ticks_that_a_running_flow_could_not_keep_up_with(
    monkeypatch: pytest.MonkeyPatch, missed: Any, count: int
) -> None:
    clock = Clock(monkeypatch, Tick(interval="10m", missed=missed))
    page = clock.poll("2024-05-01T12:00:00+00:00", timedelta(hours=1))
    assert len(page.records) == count
    assert times(page)[-1] == "2024-05-01T13:00:00+00:00"


def test_all_that_were_missed_come_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, Tick(interval="1m", missed="all"))
    page = clock.poll("2024-05-01T12:00:00+00:00", timedelta(minutes=5), most=3)
    assert (len(page.records), page.more) == (3, True)
    assert page.part is not None
    assert page.part(1) == "2024-05-01T12:01:00+00:00"
    rest = clock.poll(page.cursor, most=3)
    assert (len(rest.records), rest.more) == (2, False)


def test_cron_ticks_have_the_time_of_their_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = Tick.model_validate({"interval": {"cron": "0 15 * * *", "time_zone": "Europe/Madrid"}})
    clock = Clock(monkeypatch, trigger)
    page = clock.poll("2024-05-01T12:00:00+00:00", timedelta(hours=1))
    assert times(page) == ["2024-05-01T15:00:00+02:00"]


def test_ticks_may_be_due_since_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = Tick.model_validate({"interval": "1h", "missed": "all", "since": "2024-05-01T10:00:00Z"})
    assert len(Clock(monkeypatch, trigger).poll(None).records) == 2


def test_a_cursor_set_by_hand_must_be_a_time(tmp_path: Path) -> None:
    context = WorkerContext("flow", 0, 1, threading.Event(), Health("trigger"), state_dir=tmp_path)
    with pytest.raises(FatalError, match="'yesterday' is not a time; write one like"):
        Tick().poller("yesterday", context).poll(None, 10)


def test_its_model_is_described_and_its_mistakes_are_named() -> None:
    check_model(Tick)
    check_mistakes(Tick, "trigger")


def test_no_tick_is_missed_or_comes_twice_across_restarts_and_none_is_lost_by_a_kill(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    trigger = {"connector": "schedule", "interval": "50ms", "missed": "all", "external_id": "time"}
    flow = lab.command(trigger, steps=[{"map": {"id": "time"}}])
    try:
        with flow.running():
            lab.wait_for(5)
        flow.start()
        lab.wait_for(10)
        flow.kill()
        once = len(lab.counts())
        flow.start()
        lab.wait_for(once + 5)
        assert flow.terminate() == 0, flow.log.read_text()
    finally:
        Flow.kill_all()
    ticks = sorted(datetime.fromisoformat(str(tick)) for tick in lab.counts())
    assert {after - before for before, after in pairwise(ticks)} == {timedelta(milliseconds=50)}


def test_a_tick_is_known_by_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = Tick(interval="10m", missed="all")
    clock = Clock(monkeypatch, trigger)
    page = clock.poll(NOON.isoformat(), timedelta(minutes=20))
    assert [trigger.identity(record) for record in page.records] == times(page)
    page.records[0].body = {"time": "changed by a step"}
    assert trigger.identity(page.records[0]) == "2024-05-01T12:10:00+00:00"


def test_a_check_says_when_the_next_tick_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, Tick())
    assert Tick(interval="1h").check() == (
        "nothing to check: the clock needs no connection; the next tick is due at 2024-05-01T13:00:00+00:00"
    )


def test_a_sample_waits_for_the_next_tick(tmp_path: Path) -> None:
    context = WorkerContext("flow", 0, 1, threading.Event(), Health("trigger"), state_dir=tmp_path)
    (record,) = Tick(interval="1s").sample(1, 30.0, context)
    assert set(record.body) == {"time"}
    assert Tick(interval="365d").sample(1, 1.0, context) == []
