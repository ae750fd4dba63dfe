"""The reader of every polling trigger, by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowspec.delivery.health import Health
from flowspec.errors import FatalError, TransientError
from flowspec.polling.reader import PollingReader
from flowspec.polling.store import CursorStore
from flowspec.records import Record
from sources.testing.flows import eventually, steadily
from tests.flowspec.polling.numbers import Numbers, PollNumbers, opened


@pytest.fixture
def numbers() -> Iterator[Numbers]:
    PollNumbers.numbers = Numbers()
    yield PollNumbers.numbers
    del PollNumbers.numbers


def _read(reader: PollingReader, count: int, most: int = 100) -> list[int]:
    """Read until there are so many, and commit them."""
    seen: list[int] = []
    until = time.monotonic() + 30
    while len(seen) < count and time.monotonic() < until:
        seen += [record.body for record in reader.read(most, 0.05)]
    reader.commit(reader.position())
    return seen


def _saved(state_dir: Path) -> object:
    return CursorStore(state_dir, "flow", "memory.poll-numbers").load().cursor


def test_what_is_committed_is_passed_for_ever_and_nothing_else(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1, 2, 3, 4, 5]
    trigger = PollNumbers(interval=0.01, batch_size=2)
    with opened(trigger, tmp_path) as reader:
        assert _read(reader, 2, most=2) == [1, 2]
        assert [record.body for record in reader.read(2, 5.0)] == [3, 4]
    assert _saved(tmp_path) == {"n": 2}
    with opened(trigger, tmp_path) as reader:
        assert _read(reader, 3) == [3, 4, 5]
    assert _saved(tmp_path) == {"n": 5}


@pytest.mark.parametrize("parts", [True, False])
def test_a_part_of_a_page_is_committed_where_the_cursor_says_so(numbers: Numbers, tmp_path: Path, parts: bool) -> None:
    numbers.there = [1, 2, 3, 4]
    with opened(PollNumbers(parts=parts), tmp_path) as reader:
        assert _read(reader, 3, most=3) == [1, 2, 3]
    assert _saved(tmp_path) == ({"n": 3} if parts else None)
    with opened(PollNumbers(parts=parts), tmp_path) as reader:
        assert _read(reader, 1) == ([4] if parts else [1, 2, 3, 4])


def test_pages_are_drained_without_waiting_for_the_interval(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = list(range(1, 51))
    with opened(PollNumbers(interval=3600, batch_size=5), tmp_path) as reader:
        assert _read(reader, 50) == numbers.there
        assert len(numbers.polls) == 10


def test_polls_are_few_pages_ahead(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = list(range(1, 51))
    with opened(PollNumbers(batch_size=5), tmp_path) as reader:
        assert [record.body for record in reader.read(5, 5.0)] == [1, 2, 3, 4, 5]
        eventually(lambda: len(numbers.polls) == 3, "two pages are ready")
        steadily(lambda: len(numbers.polls) == 3, "no more are polled", seconds=0.3)


def test_with_since_now_a_restart_goes_on_where_the_first_poll_was(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1, 2]
    with opened(PollNumbers(since="now"), tmp_path) as reader:
        eventually(lambda: reader.read(10, 0.05) == [] and _saved(tmp_path) == {"n": 2}, "where it begins is saved")
    numbers.there += [3]
    with opened(PollNumbers(since="now"), tmp_path) as reader:
        assert _read(reader, 1) == [3]


def test_a_cursor_without_records_is_not_saved_before_what_is_under_way(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1]
    with opened(PollNumbers(interval=0.01), tmp_path) as reader:
        records: list[Record] = []
        while not records:
            records = reader.read(10, 0.05)
        eventually(lambda: reader.read(10, 0.05) == [] and len(numbers.polls) > 4, "empty pages are passed")
        assert _saved(tmp_path) is None
        reader.commit(reader.position())
        eventually(lambda: _saved(tmp_path) == {"n": 1}, "it is saved")


def test_a_system_that_cannot_answer_is_asked_again_and_one_that_refuses_stops_the_flow(
    numbers: Numbers, tmp_path: Path
) -> None:
    numbers.there, numbers.errors = [1], [TransientError("away"), TransientError("still away")]
    health = Health("trigger")
    with opened(PollNumbers(interval=0.01), tmp_path, health) as reader:
        assert _read(reader, 1) == [1]
        assert (health.retries, health.state) == (2, "up")
        numbers.errors = [FatalError("no such table")]
        with pytest.raises(FatalError, match="no such table"):
            _read(reader, 1)


def test_a_poll_that_takes_too_long_is_cancelled_and_made_again(
    numbers: Numbers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers.there, numbers.blocks = [1], threading.Event()
    health = Health("trigger")
    with opened(PollNumbers(timeout=0.05), tmp_path, health) as reader:
        eventually(lambda: health.retries > 0, "it is cancelled")
        assert health.reason == "the poll took longer than its timeout of 0.05 s: numbers above the last one"
        assert health.asking
        numbers.blocks.set()
        assert _read(reader, 1) == [1]
        eventually(lambda: not health.asking, "it was answered")
    assert health.last_poll is not None
    assert health.last_poll.what == "numbers above the last one"


def test_a_slow_poll_holds_up_nothing(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1, 2]
    with opened(PollNumbers(interval=0.01), tmp_path) as reader:
        assert _read(reader, 2, most=1) == [1, 2]
        numbers.blocks = threading.Event()
        polls = len(numbers.polls)
        eventually(lambda: len(numbers.polls) > polls, "a poll is under way")
        began = time.monotonic()
        assert reader.read(10, 0.0) == []
        reader.commit(reader.position())
        eventually(lambda: _saved(tmp_path) == {"n": 2}, "it is saved meanwhile")
        assert time.monotonic() - began < 60, "of the poll, which never ends"
        numbers.blocks.set()


def test_a_stop_cancels_the_poll_under_way(numbers: Numbers, tmp_path: Path) -> None:
    numbers.blocks = threading.Event()
    with opened(PollNumbers(), tmp_path) as reader:
        eventually(lambda: len(numbers.polls) > 0, "a poll is under way")
        reader.stop()
        assert reader.read(1, 0.1) == []


def test_a_saved_cursor_of_something_else_is_refused(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1, 2]
    with opened(PollNumbers(), tmp_path) as reader:
        _read(reader, 2)
    with (
        opened(PollNumbers(column="m"), tmp_path) as reader,
        pytest.raises(FatalError, match=r"column was 'n' and is 'm'\. Undo the change; or .*cursor SPEC reset"),
    ):
        _read(reader, 1)


def test_a_value_set_by_hand_comes_before_what_the_spec_says(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1, 2, 3]
    store = CursorStore(tmp_path, "flow", "memory.poll-numbers")
    store.lock()
    store.begin_at(2)
    store.close()
    with opened(PollNumbers(), tmp_path) as reader:
        assert _read(reader, 1) == [3]


def test_a_second_run_waits_until_the_first_has_ended(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1]
    health = Health("trigger")
    with opened(PollNumbers(), tmp_path) as first:
        assert _read(first, 1) == [1]
        with opened(PollNumbers(), tmp_path, health) as second:
            eventually(lambda: health.state == "down", "it waits")
            assert "another run of this flow, process" in str(health.reason)
            numbers.there += [2]
            first.close(5.0)
            assert _read(second, 1) == [2]


def test_what_is_delivered_is_settled_before_the_next_poll_and_again_after_a_crash(
    numbers: Numbers, tmp_path: Path
) -> None:
    numbers.there = [1, 2]
    numbers.settle_errors = [TransientError("away")]
    with opened(PollNumbers(interval=0.01, settles=True), tmp_path) as reader:
        records: list[Record] = []
        while not records:
            records = reader.read(10, 0.05)
        steadily(lambda: numbers.polls == [None], "it would find the same again", seconds=0.2)
        reader.commit(reader.position())
        eventually(lambda: len(numbers.polls) > 1, "it polls again")
        assert numbers.settled == [{"n": 2}]
    with opened(PollNumbers(interval=0.01, settles=True), tmp_path):
        eventually(lambda: numbers.settled == [{"n": 2}, {"n": 2}], "it is settled once more")


def test_a_cursor_that_cannot_be_saved_is_tried_again(numbers: Numbers, tmp_path: Path) -> None:
    numbers.there = [1]
    health = Health("trigger")
    with opened(PollNumbers(interval=0.01), tmp_path, health) as reader:
        eventually(lambda: health.state == "up", "it polls")
        obstacle = tmp_path / "cursors" / "flow.memory.poll-numbers.new"
        obstacle.mkdir()
        assert _read(reader, 1) == [1]
        eventually(lambda: health.state == "down", "it cannot be saved")
        obstacle.rmdir()
        eventually(lambda: _saved(tmp_path) == {"n": 1} and health.state == "up", "it is saved")
