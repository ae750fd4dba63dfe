"""Where a record goes that failed: to the dead-letter store, or to a reader whose system takes it back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flowspec.connectors import Reader, Rejecter
from flowspec.deadletters.letter import DeadLetter
from flowspec.delivery.run import FlowRun
from flowspec.delivery.sink import SinkWriter
from flowspec.delivery.steps import FusedSteps, Stage
from flowspec.errors import FatalError, RecordError
from flowspec.records import Record
from tests.flowspec.delivery.memory import Journal, MemoryAction, MemoryTrigger, bodies, letters_of, numbered, run_of

BAD = RecordError("no such country")


@pytest.fixture
def run(tmp_path: Path) -> FlowRun:
    return run_of(tmp_path)


class RejectingReader:
    """Reads nothing, and keeps what it is to reject."""

    def __init__(self) -> None:
        self.rejected: list[Record] = []

    def reject(self, records: Sequence[Record]) -> None:
        self.rejected += records

    def read(self, most: int, wait: float) -> list[Record]:
        return []

    def position(self) -> None:
        return None

    def commit(self, position: None) -> None:
        """Nothing was read."""

    def stop(self) -> None:
        """Nothing is read."""

    def close(self, timeout: float) -> None:
        """Nothing is open."""


def letter(record: Record, step: str = "to-cents") -> DeadLetter:
    return DeadLetter(record, step, BAD, attempts=1, first_try=0.0)


def rejecting(run: FlowRun) -> RejectingReader:
    reader = RejectingReader()
    run.readers.append(reader)
    return reader


def test_what_is_given_up_is_counted_and_stored(run: FlowRun, caplog: pytest.LogCaptureFixture) -> None:
    run.readers.append(MemoryTrigger(journal=Journal(), records=[]).open("0", None, run.context("trigger")))
    letters = [letter(record) for record in numbered(2)]

    run.failures.settle(letters, "dead_letter")

    assert letters_of(run) == letters
    assert run.tally.failed == 2
    assert caplog.records == [], "the store has all there is to say"


def test_nothing_is_nothing(run: FlowRun, caplog: pytest.LogCaptureFixture) -> None:
    reader = rejecting(run)
    run.failures.settle([], "dead_letter")
    assert (reader.rejected, run.tally.failed, caplog.records) == ([], 0, [])


def test_a_reader_that_rejects_gets_what_failed(run: FlowRun, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reader: Reader = rejecting(run)
    assert isinstance(reader, Rejecter)
    records = numbered(3)

    run.failures.settle([letter(records[1], "decode"), letter(records[2])], "dead_letter")

    assert reader.rejected == records[1:]  # type: ignore[attr-defined]
    assert letters_of(run) == []
    assert run.tally.failed == 2
    (line,) = caplog.records
    assert line.getMessage() == "2 records are rejected, the first by decode: no such country"


def test_of_steps(run: FlowRun) -> None:
    reader = rejecting(run)
    steps = FusedSteps([Stage("odd", failing_at(2)), Stage("skipping", failing_at(1), "skip")], run)

    assert bodies(steps(numbered(4))) == [0, 3]

    assert bodies(reader.rejected) == [2], "what is skipped is let go on purpose"
    assert run.tally.failed == 2


def test_of_sinks(run: FlowRun) -> None:
    reader = rejecting(run)
    action = MemoryAction(journal=Journal(), faults=[{1: BAD}], poison={3: ZeroDivisionError("a bug")})

    SinkWriter("billing", action, run)(numbered(3))
    SinkWriter("billing", action.model_copy(update={"faults": []}), run)([Record(b"3", 3)])

    assert bodies(reader.rejected) == [1, 3]
    assert (run.tally.delivered, run.tally.failed) == (2, 2)


def test_when_the_store_fails_the_error_goes_on(run: FlowRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(letters: object) -> None:
        msg = "no space left on device"
        raise FatalError(msg)

    monkeypatch.setattr(run.dead_letters, "add", full)
    with pytest.raises(FatalError, match="no space left"):
        run.failures.settle([letter(record) for record in numbered(1)], "dead_letter")


def failing_at(body: int) -> Callable[[list[Record]], list[Record]]:
    def transform(records: list[Record]) -> list[Record]:
        if any(record.body == body for record in records):
            raise BAD
        return records

    return transform
