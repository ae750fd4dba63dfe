"""Looking at what a polling trigger would find next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError, TransientError
from flowspec.polling.store import CursorStore
from flowspec.records import Record, Trace
from tests.flowspec.polling.numbers import Numbers, PollNumbers, opened

Sample = Callable[..., list[Any]]


@pytest.fixture
def numbers() -> Iterator[Numbers]:
    PollNumbers.numbers = Numbers()
    yield PollNumbers.numbers
    del PollNumbers.numbers


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """The bodies that a look finds."""

    def sample(most: int = 10, wait: float = 0.0, *, stopping: bool = False, **fields: Any) -> list[Any]:
        context = WorkerContext("flow", 0, 1, threading.Event(), Health("trigger"), state_dir=tmp_path)
        if stopping:
            context.stopping.set()
        return [record.body for record in PollNumbers(**fields).sample(most, wait, context)]

    return sample


def _read(state_dir: Path, count: int) -> None:
    """Have a flow deliver so many."""
    with opened(PollNumbers(), state_dir) as reader:
        records: list[Record] = []
        while len(records) < count:
            records += reader.read(count - len(records), 0.05)
        reader.commit(reader.position())


def test_the_next_records_are_shown_and_nothing_is_written(numbers: Numbers, sample: Sample, tmp_path: Path) -> None:
    numbers.there = [1, 2, 3, 4]
    assert sample(3) == [1, 2, 3]
    assert [*tmp_path.iterdir()] == [], "not even a lock"


def test_pages_are_looked_through_until_there_are_enough(numbers: Numbers, sample: Sample) -> None:
    numbers.there, numbers.most = [*range(1, 10)], 2
    assert sample(5) == [1, 2, 3, 4, 5]
    assert numbers.polls == [None, {"n": 2}, {"n": 4}]


def test_it_begins_behind_the_saved_cursor_which_stays_as_it_is(
    numbers: Numbers, sample: Sample, tmp_path: Path
) -> None:
    numbers.there = [1, 2, 3, 4]
    _read(tmp_path, 2)
    (file,) = (tmp_path / "cursors").glob("*.json")
    before = file.read_bytes(), file.stat().st_mtime_ns
    assert sample() == sample() == [3, 4]
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_a_flow_that_runs_is_not_disturbed(numbers: Numbers, sample: Sample, tmp_path: Path) -> None:
    numbers.there = [1, 2, 3]
    with opened(PollNumbers(interval=0.01), tmp_path) as reader:
        records: list[Record] = []
        while len(records) < 3:
            records += reader.read(10, 0.05)
        assert sample() == [1, 2, 3], "they are not delivered yet"
        assert [record.body for record in records] == [1, 2, 3]


def test_a_value_set_by_hand_counts(numbers: Numbers, sample: Sample, tmp_path: Path) -> None:
    numbers.there = [1, 2, 3]
    store = CursorStore(tmp_path, "flow", "memory.poll-numbers")
    store.lock()
    store.begin_at(2)
    store.close()
    assert sample() == [3]


def test_a_cursor_of_something_else_is_refused(numbers: Numbers, sample: Sample, tmp_path: Path) -> None:
    numbers.there = [1, 2]
    _read(tmp_path, 2)
    with pytest.raises(FatalError, match="the saved cursor is of something else: column was 'n' and is 'm'"):
        sample(column="m")


def test_what_comes_is_waited_for_at_the_pace_of_the_spec(numbers: Numbers, sample: Sample) -> None:
    numbers.there = [1]
    waiting = threading.Timer(0.2, lambda: numbers.there.append(2))
    waiting.start()
    assert sample(since="now", interval=0.02, wait=60.0) == [2]
    waiting.join()
    numbers.polls.clear()
    assert sample(since=2, interval=3600.0, wait=60.0) == []
    assert len(numbers.polls) == 1, "the next poll is due later than anybody waits"


def test_a_wait_ends_when_that_is_asked_for(numbers: Numbers, sample: Sample) -> None:
    assert sample(interval=30.0, wait=600.0, stopping=True) == []


def test_nothing_is_settled(numbers: Numbers, sample: Sample) -> None:
    numbers.there = [1, 2]
    assert sample(settles=True) == [1, 2]
    assert numbers.settled == []


def test_a_system_that_does_not_answer_is_an_error(numbers: Numbers, sample: Sample) -> None:
    numbers.errors = [TransientError("away")]
    with pytest.raises(TransientError, match="away"):
        sample()
    numbers.blocks = threading.Event()
    with pytest.raises(TransientError, match=r"longer than its timeout of 0\.05 s: numbers above the last one"):
        sample(timeout=0.05)


def test_records_keep_the_body_that_they_came_with(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [7]
    context = WorkerContext("flow", 0, 1, threading.Event(), Health("trigger"), state_dir=tmp_path)
    assert [record.trace for record in PollNumbers().sample(1, 0.0, context)] == [Trace(7)]
    with opened(PollNumbers(), tmp_path) as reader:
        records: list[Record] = []
        while not records:
            records = reader.read(1, 0.05)
    assert records[0].trace == Trace(7)
    assert records[0].trace.body is records[0].body
