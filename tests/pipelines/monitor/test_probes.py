"""When a run is alive, and when it is ready."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowspec.delivery.tally import Counts, Tally
from pipelines.monitor.probes import Liveness, unreadiness
from pipelines.snapshot import EndState, RunState, Snapshot

HOUR = 3600.0
UP = {"trigger": EndState("up"), "sink": EndState("up")}
BUSY = Snapshot("orders", tally=Tally(received=5, delivered=2, in_flight=3), ends=UP, taken_at=0.0)


def after_an_hour(before: Snapshot, after: Snapshot | None = None) -> list[str]:
    """What is said of a run that was looked at an hour ago, and has become another since, or has not."""
    liveness = Liveness()
    assert liveness.complaints(before) == []
    return liveness.complaints(replace(after or before, taken_at=HOUR))


def test_a_worker_that_does_nothing_with_its_records_is_stuck() -> None:
    assert after_an_hour(BUSY) == [
        "worker 0 has 3 records under way, and nothing happened to one of them for 3600 s",
    ]


def test_a_worker_is_given_the_time_of_a_slow_batch() -> None:
    liveness = Liveness()
    assert [liveness.complaints(replace(BUSY, taken_at=minute * 60.0)) for minute in range(29)] == [[]] * 29


@pytest.mark.parametrize(
    "change", [Tally(received=5, delivered=3, in_flight=3), Tally(5, 2, in_flight=3), Tally(received=6, in_flight=4)]
)
def test_a_worker_whose_counts_move_is_alive(change: Tally) -> None:
    change.places["slow"] = Counts(passed=1)
    assert after_an_hour(BUSY, replace(BUSY, tally=change)) == []


def test_a_worker_without_records_is_alive() -> None:
    assert after_an_hour(replace(BUSY, tally=Tally(received=5, delivered=5))) == []


@pytest.mark.parametrize("end", ["trigger", "sink"])
def test_a_worker_that_waits_for_another_system_is_alive(end: str) -> None:
    assert after_an_hour(replace(BUSY, ends={**UP, end: EndState("down", "away")})) == []


def test_the_time_of_an_outage_does_not_count() -> None:
    liveness = Liveness()
    down = replace(BUSY, ends={**UP, "sink": EndState("down", "away")})
    for seconds in (0.0, HOUR):
        assert liveness.complaints(replace(down, taken_at=seconds)) == []
    assert liveness.complaints(replace(BUSY, taken_at=HOUR + 60)) == []
    assert liveness.complaints(replace(BUSY, taken_at=3 * HOUR)) != []


def test_a_drain_has_a_time_of_its_own() -> None:
    assert after_an_hour(replace(BUSY, state="stopping")) == []


def test_each_worker_of_a_cluster_is_looked_at() -> None:
    liveness = Liveness()

    def whole(at: float, *parts: Snapshot) -> Snapshot:
        return replace(Snapshot.together("orders", 3, parts), taken_at=at)

    stuck, idle = BUSY, replace(BUSY, worker=1, tally=Tally())
    silent = replace(idle, worker=2)
    ended = replace(idle, worker=3, state="stopped")
    assert liveness.complaints(whole(0.0, stuck, idle, silent, ended)) == []
    later = whole(HOUR, replace(stuck, taken_at=HOUR), replace(idle, taken_at=HOUR), silent, ended)
    assert liveness.complaints(later) == [
        "worker 2 has reported nothing for 3600 s",
        "worker 0 has 3 records under way, and nothing happened to one of them for 3600 s",
    ]


def test_a_run_is_ready_when_its_trigger_is_up() -> None:
    run = Snapshot("orders")
    assert unreadiness(run) == ["trigger is starting"]
    assert unreadiness(replace(run, ends={"trigger": EndState(), "sink": EndState("up")})) == ["trigger is starting"]
    assert unreadiness(replace(run, ends={"trigger": EndState("up"), "sink": EndState("up")})) == []


def test_a_sink_without_work_is_ready() -> None:
    assert unreadiness(Snapshot("orders", ends={"trigger": EndState("up"), "sink": EndState()})) == []


def test_each_end_that_is_down_is_named_with_its_reason() -> None:
    ends = {"trigger": EndState("down", "no route"), "a": EndState("down", "full"), "b": EndState("up")}
    assert unreadiness(Snapshot("orders", ends=ends)) == ["trigger is down: no route", "a is down: full"]


@pytest.mark.parametrize("state", ["stopping", "stopped", "failed"])
def test_a_run_that_ends_is_not_ready(state: RunState) -> None:
    assert unreadiness(replace(BUSY, state=state)) == [f"the run is {state}"]
