"""Finding what happened to a record, also in a long journal, and where nobody may write."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import orjson
import pytest

from flowspec.errors import RecordError
from flowspec.journal import search
from flowspec.journal.batches import packed
from flowspec.journal.search import JournalReader, Search, Status, _latest
from flowspec.journal.settings import Keep
from flowspec.journal.store import Batch, Chunk, JournalStore
from tests.flowspec.journal.parts import executions, failure, record, writing
from tests.sources.files.polling import without_rights

_MILLION = 1_000_000
_STEP = 50_000
_BATCH = 500
_FILL = """
WITH RECURSIVE numbers(number) AS (
    SELECT :begin UNION ALL SELECT number + 1 FROM numbers WHERE number + 1 < :begin + :step
) INSERT INTO executions(ended_at, received_at, external_id, origin, outcome, place, attempts, batch, worker)
SELECT :now + number / 100, :now + number / 100,
    iif(number % 1000 = 123, 'order-' || number, lower(hex(randomblob(16)))),
    '["q",' || number || ']', iif(number = 500000, 4, 0), 'billing', 1, number / 500, 0 FROM numbers
"""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a journal of a million executions, whose External IDs come in no order."""
    directory = tmp_path_factory.mktemp("long")
    with closing(JournalStore("orders", directory, 0, "all", Keep())) as store:
        store.prune(1)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        for begin in range(0, _MILLION, _STEP):
            connection.execute(_FILL, {"begin": begin, "step": _STEP, "now": time.time() - _MILLION / 100})
    return directory


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with 500 in a row."""
    directory = tmp_path_factory.mktemp("dense")
    some = random.Random(1)
    with closing(JournalStore("orders", directory, 0, "all", Keep())) as store:
        for begin in range(0, _MILLION, _BATCH):
            numbers = range(begin, begin + _BATCH)
            ids = [f"order-{each}" if each % 1000 == 123 else f"{some.getrandbits(128):032x}" for each in numbers]
            columns = packed([[1.0], [begin // _BATCH], ["q"], list(numbers)])
            store.add([Batch("delivered", "billing", _BATCH, columns, time.time(), orjson.dumps(ids))])
    return directory


def plan(directory: Path, search: Search) -> str:
    reader = JournalReader("orders", directory)
    condition, values = search.condition(reader._masks)
    with reader._connection() as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {_latest(condition)}", (*values, 50)).fetchall()
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize("layout", ["long", "dense"])
def test_an_external_id_is_found_in_a_million_executions(request: pytest.FixtureRequest, layout: str) -> None:
    long: Path = request.getfixturevalue(layout)
    took = []
    for number in (123, 420_123, 999_123):
        began = time.perf_counter()
        (found,) = executions(long, external_id=f"order-{number}")
        took.append(time.perf_counter() - began)
        assert (found.batch, found.origin) == (number // 500, f"q/{number}")
    assert executions(long, external_id="order-1") == []
    size = JournalReader("orders", long).path.stat().st_size
    print(f"found in {', '.join(f'{each * 1e3:.1f} ms' for each in took)} in a journal of {size / 2**20:.0f} MiB")


@pytest.mark.parametrize(
    ("search", "index"),
    [
        (Search("order-1"), "executions_external_id (<expr>=? AND external_id=?)"),
        (Search("order-1"), "SCAN executions USING INDEX executions_batches"),
        (Search("order-1", "dead", 1.0), "executions_external_id (<expr>=? AND external_id=?)"),
        (Search(status="dead"), "SEARCH executions USING INDEX executions_outcome (outcome=?)"),
        (Search(status="failed", since=1.0), "executions_outcome (outcome=? AND rowid>?)"),
        (Search(since=1.0), "SEARCH executions USING INTEGER PRIMARY KEY (rowid>?)"),
        (Search(since=1.0, status="delivered"), "SEARCH executions USING INTEGER PRIMARY KEY (rowid>?)"),
    ],
)
def test_every_search_uses_an_index(long: Path, search: Search, index: str) -> None:
    found = plan(long, search)
    assert index in found
    if search.external_id is not None:
        assert found.count("SCAN executions") == found.count("SCAN executions USING INDEX executions_batches") == 1


def test_the_only_dead_letter_of_a_million_is_found(long: Path) -> None:
    (found,) = executions(long, status="dead")
    assert found.batch == 1_000


def test_what_was_written_late_is_found_by_when_it_ended(tmp_path: Path) -> None:
    now = time.time()
    with closing(JournalStore("orders", tmp_path, 0, "all", Keep())) as store:
        for late, number in ((0, 1), (7200, 2), (0, 3)):
            rows = f'[{now - late},null,"order-{number}",["q"],1,0]'.encode()
            store.add([Chunk("delivered", "billing", 1, rows)])
    assert [each.external_id for each in executions(tmp_path)] == ["order-2", "order-1", "order-3"]
    assert [each.external_id for each in executions(tmp_path, since=now - 60)] == ["order-1", "order-3"]


def test_a_time_is_found_by_the_minute_in_which_things_were_written(tmp_path: Path) -> None:
    with closing(JournalStore("orders", tmp_path, 0, "all", Keep())) as store:
        store.add([Chunk("delivered", "billing", 1, b'[60.0,null,"order-1",["q"],1,0]')])
        store.add([Chunk("delivered", "billing", 1, b'[7200.0,null,"order-2",["q"],1,0]')])
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("DELETE FROM minutes")
        connection.execute("INSERT INTO minutes VALUES (1, 1), (120, 2)")
    for since, found in ((0, ["order-1", "order-2"]), (61, ["order-2"]), (7200, ["order-2"]), (7201, [])):
        assert [each.external_id for each in executions(tmp_path, since=since)] == found


@pytest.mark.parametrize(
    ("status", "numbers"),
    [("delivered", [1]), ("filtered", [2]), ("failed", [3, 4]), ("dead", [5]), (None, [1, 2, 3, 4, 5])],
)
def test_each_status_is_found(tmp_path: Path, status: Status | None, numbers: list[int]) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(1)], "billing")
        journal.filtered([record(2)], "filter-1")
        journal.retrying([failure(record(3))])
        journal.failed([failure(record(4))], skipped=True)
        journal.failed([failure(record(5))], skipped=False)
    assert [each.external_id for each in executions(tmp_path, status=status)] == [f"order-{each}" for each in numbers]


def test_the_latest_since_a_time_are_found_oldest_first(tmp_path: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(number) for number in range(5)], "billing")
        middle = time.time()
        journal.delivered([record(number) for number in range(5, 10)], "billing")
    assert [each.external_id for each in executions(tmp_path, 3)] == ["order-7", "order-8", "order-9"]
    assert len(executions(tmp_path, since=middle)) == 5
    assert executions(tmp_path, since=time.time()) == []
    assert executions(tmp_path, since=time.time() + 3600) == []
    assert executions(tmp_path, 0) == []


def test_what_comes_is_followed_from_where_the_latest_ended(tmp_path: Path) -> None:
    reader = JournalReader("orders", tmp_path)
    with writing(tmp_path) as journal:
        journal.delivered([record(number) for number in range(3)], "billing")
    _, last = reader.latest(Search(status="dead"), 50)
    assert reader.after(last, Search()) == ([], last)
    with writing(tmp_path) as journal:
        journal.delivered([record(number) for number in range(3, 2_000)], "billing")
        journal.failed([failure(record(2_000), RecordError("no"))], skipped=False)
    found, end = reader.after(last, Search(status="dead"))
    assert [each.external_id for each in found] == ["order-2000"]
    assert reader.after(end, Search()) == ([], end)


def test_much_that_comes_is_followed_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_PAGE", 70)
    reader = JournalReader("orders", tmp_path)
    with writing(tmp_path) as journal:
        for begin in (0, 60, 120):
            journal.delivered([record(number) for number in range(begin, begin + 60)], "billing")
        journal.delivered([record(number) for number in range(180, 200)], "billing")
    last, pages = 0, []
    while (page := reader.after(last, Search()))[0]:
        found, last = page
        pages.append([each.external_id for each in found])
    assert [len(each) for each in pages] == [120, 70, 10]
    assert set(chain(*pages)) == {f"order-{number}" for number in range(200)}


def test_the_latest_of_a_batch_are_its_last(tmp_path: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(number) for number in range(100)], "billing")
        journal.delivered([record(number) for number in range(100, 200)], "archive")
    assert [each.external_id for each in executions(tmp_path, 102)] == [f"order-{each}" for each in range(98, 200)]


@pytest.mark.parametrize("wanted", ["order-7", 'a"b', "a\\b", "Stra\xdfe", "a\nb", ",", '","', "", "\x7f"])
def test_an_external_id_of_a_batch_is_found_whatever_is_in_it(tmp_path: Path, wanted: str) -> None:
    with writing(tmp_path) as journal:
        others = [record(number) for number in range(70, 150)]
        journal.delivered([*others, record(1, external_id=wanted), record(2, external_id=wanted * 2 + "x")], "billing")
        journal.delivered([record(3, external_id=wanted)], "archive")
    found = executions(tmp_path, external_id=wanted)
    assert [(each.external_id, each.place) for each in found] == [(wanted, "billing"), (wanted, "archive")]
    assert executions(tmp_path, external_id="\ud800") == []


def test_reading_goes_on_beside_a_writer_that_is_in_the_middle(tmp_path: Path) -> None:
    with writing(tmp_path) as journal:
        journal.delivered([record(1)], "billing")
    with closing(sqlite3.connect(JournalReader("orders", tmp_path).path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM executions")
        assert len(executions(tmp_path)) == 1
        writer.execute("COMMIT")
    assert executions(tmp_path) == []


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that anybody may read."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


@pytest.mark.parametrize("how", ["ended", "running"])
def test_somebody_who_may_only_read_finds_it(public: Path, how: str) -> None:
    with writing(public) as journal:
        journal.delivered([record(1)], "billing")
    reader = JournalReader("orders", public)
    with closing(sqlite3.connect(reader.path, isolation_level=None)) as writer:
        if how == "running":
            writer.execute("UPDATE executions SET place = 'archive'")
        else:
            writer.close()
        names = sorted(path.name for path in reader.path.parent.iterdir())
        assert (f"{reader.path.name}-wal" in names) == (how == "running")
        reader.path.parent.chmod(0o555)
        with without_rights():
            (found,) = executions(public, external_id="order-1")
        reader.path.parent.chmod(0o755)
    assert found.place == ("archive" if how == "running" else "billing")


def test_a_name_that_means_something_in_a_url_is_a_name(tmp_path: Path) -> None:
    directory = tmp_path / "a?mode=rw #1%20"
    with writing(directory) as journal:
        journal.delivered([record(1)], "billing")
    assert len(executions(directory)) == 1
