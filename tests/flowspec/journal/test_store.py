"""The file of a journal: how long and how large it is, and what may be wrong with it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from flowspec.errors import FatalError
from flowspec.journal.backlog import Backlog
from flowspec.journal.batches import packed
from flowspec.journal.search import JournalReader
from flowspec.journal.settings import Keep
from flowspec.journal.store import Batch, Chunk, Counted, JournalStore
from tests.flowspec.journal.parts import executions

_MIB = 1024**2


def chunk(numbers: range, at: float | None = None) -> Chunk:
    ended_at = time.time() if at is None else at
    rows = [[ended_at, ended_at, f"order-{number}", ["queue", number], 1, 0] for number in numbers]
    return Chunk("delivered", "billing", len(rows), orjson.dumps(rows)[1:-1])


def batch(numbers: range) -> Chunk:
    ids = orjson.dumps([f"order-{number}" for number in numbers])
    columns = packed([[time.time()], [1], ["queue"], [f"message-{number:032}" for number in numbers]])
    return Batch("delivered", "billing", len(numbers), columns, time.time(), ids)


def opened(directory: Path, keep: Keep | None = None) -> JournalStore:
    return JournalStore("orders", directory, 0, "all", keep or Keep())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JournalStore]:
    """An open store."""
    with closing(opened(tmp_path)) as store:
        yield store


def test_what_is_too_old_goes_in_small_steps(tmp_path: Path) -> None:
    now = time.time()
    with closing(opened(tmp_path, Keep(age=3600))) as store:
        store.add([chunk(range(25), now - 4000), chunk(range(25, 40), now - 3000)])
        store.count(Counted(received=1))
        assert [store.prune(10), store.prune(10), store.prune(10), store.prune(10)] == [True, True, True, False]
        assert [each.external_id for each in executions(tmp_path)] == [f"order-{number}" for number in range(25, 40)]
        assert JournalReader("orders", tmp_path).counted(None) is not None


def test_counts_and_gaps_that_are_too_old_go_as_well(tmp_path: Path) -> None:
    with closing(opened(tmp_path, Keep(age=0.001))) as store:
        store.count(Counted(received=1))
        store.miss(time.time() - 120, 5, "full")
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute("UPDATE counts SET minute = minute - 2")
        time.sleep(0.01)
        store.prune(10)
        reader = JournalReader("orders", tmp_path)
        assert (reader.counted(None), reader.gaps(None)) == (None, [])


@pytest.mark.parametrize(("make", "several"), [(chunk, 2_000), (batch, 200)])
def test_the_file_stays_within_its_size_and_shrinks_to_a_smaller_one(
    tmp_path: Path, make: Callable[[range], Chunk], several: int
) -> None:
    size = 4 * _MIB
    with closing(opened(tmp_path, Keep(size=size))) as store:
        for begin in range(0, 160_000, 2_000):
            numbers = range(begin, begin + 2_000)
            rows = store.add([make(numbers[first : first + several]) for first in range(0, 2_000, several)])
            assert rows == (2_000 if make is chunk else 10)
            store.prune(2 * rows)
    assert size / 2 < store.path.stat().st_size < size * 1.3
    assert executions(tmp_path, 1)[0].external_id == "order-159999"
    assert executions(tmp_path, external_id="order-0") == []

    # Pages go back to the file system some at a time, and at the end of the process what SQLite's log still has of it.
    with closing(opened(tmp_path, Keep(size=_MIB))) as store:
        while store.prune(1_000):
            pass
        for _ in range(10):
            store.prune(1_000)
    assert store.path.stat().st_size <= _MIB
    assert executions(tmp_path, 1)[0].external_id == "order-159999"


def test_a_removed_file_is_begun_anew(tmp_path: Path, store: JournalStore) -> None:
    store.add([chunk(range(1))])
    store.path.unlink()
    store.add([chunk(range(1, 2))])
    assert [each.external_id for each in executions(tmp_path)] == ["order-1"]


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path, store: JournalStore) -> None:
    store.add([chunk(range(1))])
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with closing(opened(tmp_path)) as other, pytest.raises(FatalError, match="newer version"):
        other.add([chunk(range(1))])
    with pytest.raises(FatalError, match="newer version of this program; update it"):
        executions(tmp_path)


def test_a_file_of_an_older_version_is_left_alone(tmp_path: Path, store: JournalStore) -> None:
    store.add([chunk(range(1))])
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with closing(opened(tmp_path)) as other, pytest.raises(FatalError, match="it was made by an older version"):
        other.add([chunk(range(1))])
    with pytest.raises(
        FatalError, match=r"the journal .*orders.sqlite was made by an older .* remove it to begin anew"
    ):
        executions(tmp_path)
    store.path.unlink()
    with closing(opened(tmp_path)) as other:
        other.add([chunk(range(1))])
    assert len(executions(tmp_path)) == 1


def test_a_file_that_is_none_is_left_alone(tmp_path: Path, store: JournalStore) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"some text " * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        store.add([chunk(range(1))])
    with pytest.raises(FatalError, match=r"the journal .*orders.sqlite cannot be read: file is not a database"):
        executions(tmp_path)


def test_a_transaction_that_fails_leaves_nothing_behind(tmp_path: Path, store: JournalStore) -> None:
    store.add([chunk(range(2))])
    with pytest.raises(sqlite3.Error):
        store.add([chunk(range(2, 4)), Chunk("dead", "billing", 1, b"[1, 2")])
    assert len(executions(tmp_path)) == 2
    store.add([chunk(range(2, 4))])
    assert len(executions(tmp_path)) == 4


def test_a_backlog_drops_the_oldest_of_too_many_or_too_large() -> None:
    backlog = Backlog(most=10, most_bytes=1_000)
    for number in range(4):
        backlog.add(Chunk("delivered", str(number), 3, b"x"))
    assert backlog.gap is not None
    assert (len(backlog), backlog.gap.lost) == (9, 3)
    backlog.add(Chunk("delivered", "large", 1, b"x" * 998))
    assert ([each.place for each in backlog.take(100)], backlog.gap.lost) == (["2", "3", "large"], 6)


def test_a_backlog_gives_the_oldest_first_and_takes_them_back() -> None:
    backlog = Backlog(most=6, most_bytes=1_000)
    for number in range(3):
        backlog.add(Chunk("delivered", str(number), 2, b"x"))
    taken = backlog.take(3)
    assert ([each.place for each in taken], len(backlog)) == (["0", "1"], 2)
    backlog.add(Chunk("delivered", "3", 2, b"x"))
    backlog.put_back(taken)
    assert [each.place for each in backlog.take(100)] == ["1", "2", "3"]
    assert backlog.gap is not None
    assert backlog.gap.lost == 2


def test_a_gap_is_over_when_all_of_it_is_noted_and_it_is_quiet() -> None:
    backlog = Backlog(most=1, most_bytes=1_000)
    assert backlog.end_gap(0) == 0
    for _ in range(3):
        backlog.add(Chunk("delivered", "a", 1, b"x"))
    assert backlog.end_gap(0) == 0
    backlog.noted(2)
    assert backlog.end_gap(3600) == 0
    assert backlog.end_gap(0) == 2
    assert backlog.gap is None
