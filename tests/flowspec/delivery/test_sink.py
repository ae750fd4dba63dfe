from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from flowspec.delivery import sink
from flowspec.delivery.backoff import Backoff
from flowspec.delivery.run import FlowRun
from flowspec.delivery.sink import SinkWriter
from flowspec.errors import FatalError, RecordError, TransientError
from tests.flowspec.delivery.memory import Fault, Journal, MemoryAction, letters_of, numbered, run_of

DOWN = TransientError("refused")


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "Backoff", lambda: Backoff(first=0.001, most=0.002))


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def run(tmp_path: Path) -> FlowRun:
    return run_of(tmp_path)


def writer(run: FlowRun, journal: Journal, *faults: Fault, poison: dict[Any, Exception] | None = None) -> SinkWriter:
    return SinkWriter("billing", MemoryAction(journal=journal, faults=list(faults), poison=poison or {}), run)


def test_a_batch_is_written_once_and_nothing_is_answered(run: FlowRun, journal: Journal) -> None:
    assert writer(run, journal)(numbered(3)) == []
    assert journal.details("billing", "try") == [[0, 1, 2]]
    assert (run.tally.delivered, run.tally.failed) == (3, 0)
    assert run.healths[0].state == "up"


def test_an_empty_batch_is_not_written(run: FlowRun, journal: Journal) -> None:
    assert writer(run, journal)([]) == []
    assert journal.events == []


def test_a_sink_that_is_down_gets_the_whole_batch_again(run: FlowRun, journal: Journal) -> None:
    writer(run, journal, DOWN, DOWN, DOWN)(numbered(3))
    assert journal.details("billing", "try") == [[0, 1, 2]] * 4
    assert journal.written("billing") == [0, 1, 2]
    assert (run.tally.delivered, run.tally.failed) == (3, 0)
    assert letters_of(run) == []


def test_a_sink_that_goes_down_and_comes_back_is_one_line_each(
    run: FlowRun, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    write = writer(run, journal, {}, DOWN, DOWN, {0: DOWN}, {}, {})
    for _ in range(3):
        write(numbered(2))
    down, back = (record.getMessage() for record in caplog.records)
    assert down == "billing is down and is tried again: refused"
    assert back.startswith("billing is back after ")
    assert run.healths[0].state == "up"
    assert run.healths[0].retries == 3


def test_partial_transient_failures_are_retried_alone_and_in_order(run: FlowRun, journal: Journal) -> None:
    writer(run, journal, {1: DOWN, 3: DOWN}, {3: DOWN})(numbered(5))
    assert journal.details("billing", "try") == [[0, 1, 2, 3, 4], [1, 3], [3]]
    assert sorted(journal.written("billing")) == [0, 1, 2, 3, 4]
    assert run.tally.delivered == 5


def test_a_permanent_failure_is_a_dead_letter(run: FlowRun, journal: Journal) -> None:
    too_big = RecordError("300 KiB is more than the queue takes")
    writer(run, journal, {2: too_big})(numbered(4))
    (letter,) = letters_of(run)
    assert letter.record.body == 2
    assert (letter.step, letter.error, letter.attempts) == ("billing", too_big, 1)
    assert journal.written("billing") == [0, 1, 3]
    assert (run.tally.delivered, run.tally.failed) == (3, 1)


def test_a_dead_letter_counts_the_attempts_before_it(run: FlowRun, journal: Journal) -> None:
    writer(run, journal, DOWN, {1: DOWN, 0: RecordError("no")}, {1: RecordError("never")})(numbered(2))
    assert [(letter.record.body, letter.attempts) for letter in letters_of(run)] == [(0, 2), (1, 3)]
    assert (run.tally.delivered, run.tally.failed) == (0, 2)


def test_a_system_that_refuses_a_record_has_answered(run: FlowRun, journal: Journal) -> None:
    writer(run, journal, DOWN, {0: RecordError("too big")})(numbered(2))
    assert run.healths[0].state == "up"


def test_an_unexpected_error_costs_only_the_culprit(run: FlowRun, journal: Journal) -> None:
    bug = ZeroDivisionError("a bug")
    writer(run, journal, poison={3: bug})(numbered(6))
    assert journal.written("billing") == [0, 1, 2, 4, 5]
    (letter,) = letters_of(run)
    assert (letter.record.body, letter.step, letter.error) == (3, "billing", bug)
    assert letter.attempts == sum(3 in batch for batch in journal.details("billing", "try"))
    assert (run.tally.delivered, run.tally.failed) == (5, 1)
    assert run.failure is None


def test_an_unexpected_error_that_passes_costs_nothing(run: FlowRun, journal: Journal) -> None:
    writer(run, journal, OSError("reset"), OSError("reset"))(numbered(3))
    assert journal.details("billing", "try") == [[0, 1, 2]] * 3
    assert letters_of(run) == []
    assert run.tally.delivered == 3


def test_the_culprit_alone_in_its_batch(run: FlowRun, journal: Journal) -> None:
    writer(run, journal, poison={0: ZeroDivisionError("a bug")})(numbered(1))
    (letter,) = letters_of(run)
    assert letter.attempts == len(journal.details("billing", "try"))


def test_an_outage_while_a_batch_is_split(run: FlowRun, journal: Journal) -> None:
    bug = ZeroDivisionError("a bug")
    writer(run, journal, bug, bug, bug, DOWN, DOWN)(numbered(3))
    assert journal.written("billing") == [0, 1, 2]
    assert letters_of(run) == []


def test_a_fatal_error_stops_the_flow_at_once(run: FlowRun, journal: Journal) -> None:
    with pytest.raises(FatalError, match="access denied"):
        writer(run, journal, FatalError("access denied"))(numbered(3))
    assert journal.details("billing", "try") == [[0, 1, 2]]
    assert str(run.failure) == "billing: access denied"
    assert (run.tally.delivered, run.tally.failed) == (0, 0)
    assert letters_of(run) == []


def test_a_fatal_error_while_a_batch_is_split(run: FlowRun, journal: Journal) -> None:
    bug = ZeroDivisionError("a bug")
    with pytest.raises(FatalError, match="access denied"):
        writer(run, journal, bug, bug, bug, {}, FatalError("access denied"))(numbered(3))
    assert letters_of(run) == []


def test_a_stop_while_the_sink_is_down_ends_after_the_drain_timeout(run: FlowRun, journal: Journal) -> None:
    run.drain_timeout = 0.05
    run.tally.in_flight = 3

    def stop_at_the_third(_: object) -> None:
        if len(journal.details("billing", "try")) == 3:
            run.stop()

    journal.watch = stop_at_the_third
    with pytest.raises(FatalError) as caught:
        writer(run, journal, *[DOWN] * 1_000_000)(numbered(3))
    assert str(caught.value) == "stopped before everything was delivered, 3 records will come again: refused"
    assert run.drain_time_left == 0
    assert len(journal.details("billing", "try")) > 3, "the time that is left is used"
    assert run.tally.delivered == 0
    assert letters_of(run) == []


def test_a_sink_that_comes_back_during_the_drain_is_served(run: FlowRun, journal: Journal) -> None:
    journal.watch = lambda _: run.stop()
    writer(run, journal, DOWN, DOWN)(numbered(3))
    assert journal.written("billing") == [0, 1, 2]


def test_the_writer_is_closed_with_the_run(run: FlowRun, journal: Journal) -> None:
    writer(run, journal)
    run.close()
    assert journal.events[-1].what == "close"
