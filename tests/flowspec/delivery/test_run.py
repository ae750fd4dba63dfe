from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from flowspec.deadletters.readers import StoreLock
from flowspec.delivery.run import FlowFailure, FlowRun
from flowspec.errors import FatalError, TransientError
from flowspec.records import Record
from tests.flowspec.delivery.memory import Journal, MemoryAction, MemoryTrigger, run_of

DOWN = TransientError("refused")


@pytest.fixture
def run(tmp_path: Path) -> FlowRun:
    return run_of(tmp_path)


def test_the_time_to_drain_runs_from_the_first_stop(run: FlowRun) -> None:
    run.drain_timeout = 100.0
    assert run.drain_time_left == float("inf")
    run.stop()
    assert run.stopping.is_set()
    left = run.drain_time_left
    assert 0 < left <= 100
    run.drain_timeout = 1000.0
    run.stop()
    assert run.drain_time_left <= left


def test_closing_has_a_limit_of_its_own(run: FlowRun) -> None:
    assert run.close_time == 10.0
    run.drain_timeout = 3.0
    run.stop()
    assert run.close_time <= 3.0


def test_waiting_to_retry_is_cut_short_by_a_stop(run: FlowRun) -> None:
    run.drain_timeout = 0.01
    timer = threading.Timer(0.01, run.stop)
    timer.start()
    run.wait_to_retry(3600.0, DOWN)
    timer.join()
    assert run.stopping.is_set()


def test_when_the_time_is_over_the_wait_is_a_fatal_error(run: FlowRun) -> None:
    run.drain_timeout = 0.0
    run.tally.in_flight = 7
    run.stop()
    with pytest.raises(FatalError, match="7 records will come again: refused") as caught:
        run.wait_to_retry(3600.0, DOWN)
    assert caught.value.__cause__ is DOWN


def test_waiting_to_retry_waits(run: FlowRun) -> None:
    started = time.monotonic()
    run.wait_to_retry(0.02, DOWN)
    assert time.monotonic() - started >= 0.02


def test_the_guard_keeps_the_first_error_with_its_place(run: FlowRun) -> None:
    first, second = ValueError("first"), ValueError("second")
    with pytest.raises(ValueError, match="first"), run.guard("billing"):
        raise first
    with pytest.raises(ValueError, match="second"), run.guard("trigger"):
        raise second
    assert run.failure == FlowFailure("billing", 0, first)


def test_the_guard_keeps_what_is_no_exception_too(run: FlowRun) -> None:
    with pytest.raises(KeyboardInterrupt), run.guard("steps"):
        raise KeyboardInterrupt
    assert run.failure is not None
    assert str(run.failure) == "steps: KeyboardInterrupt()"


def test_the_end_of_data_is_no_error(run: FlowRun) -> None:
    with pytest.raises(StopIteration), run.guard("trigger"):
        raise StopIteration
    assert run.failure is None


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (None, "only-paid: no such field"),
        (Record(b'{"a": 1}', external_id="A-17"), "only-paid: no such field (record A-17: b'{\"a\": 1}')"),
        (Record("x" * 300, meta={"id": "m1"}), f"only-paid: no such field (record {{'id': 'm1'}}: '{'x' * 200}')"),
    ],
)
def test_a_failure_shows_place_and_record(record: Record | None, shown: str) -> None:
    assert str(FlowFailure("only-paid", 0, ValueError("no such field"), record)) == shown


def test_a_context_has_the_health_that_the_run_shows(run: FlowRun) -> None:
    run.worker, run.workers = 1, 3
    context = run.context("billing")
    context.health.down(DOWN)
    assert [(health.name, health.state) for health in run.healths] == [("billing", "down")]
    assert (context.flow, context.worker, context.workers) == ("test", 1, 3)
    assert context.stopping is run.stopping


def test_close_closes_readers_before_writers(run: FlowRun) -> None:
    journal = Journal()
    writer = MemoryAction(journal=journal).open(run.context("billing"))
    reader = MemoryTrigger(journal=journal, records=[]).open("0", None, run.context("trigger"))
    run.writers.append(writer)
    run.readers.append(reader)
    run.close()
    assert [(event.who, event.what) for event in journal.events] == [
        ("trigger", "open"),
        ("trigger", "stop"),
        ("trigger", "close"),
        ("billing", "close"),
    ]


def test_a_lock_is_free_when_the_flow_has_ended(tmp_path: Path) -> None:
    run, path = run_of(tmp_path), tmp_path / "letters.lock"
    run.locks.append(StoreLock(path))
    assert run.locks[0].take()
    assert not StoreLock(path).take()

    run.close()

    other = StoreLock(path)
    assert other.take()
    other.free()
