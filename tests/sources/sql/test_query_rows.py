"""sql / query-rows: what the cases of the conformance suite do not say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from flowspec.polling.reader import PollingReader
from flowspec.polling.store import CursorStore
from flowspec.records import Record
from sources.sql import QueryRows
from sources.testing.flows import eventually, steadily
from tests.servers.database import Database
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile

COLUMNS = "id bigint PRIMARY KEY, name varchar(50), changed bigint, done bigint"


class Reading:
    """A trigger's reader without a flow."""

    def __init__(self, reader: PollingReader, health: Health) -> None:
        self.reader = reader
        self.health = health

    def records(self, count: int) -> list[Record]:
        """Read so many, and commit them."""
        found: list[Record] = []
        until = time.monotonic() + 60
        while len(found) < count and time.monotonic() < until:
            found += self.reader.read(100, 0.1)
        self.reader.commit(self.reader.position())
        return found

    def ids(self, count: int) -> list[Any]:
        return [record.body["id"] for record in self.records(count)]

    def nothing(self) -> None:
        """See that nothing comes for a while."""
        steadily(lambda: self.reader.read(100, 0.05) == [], "nothing comes", seconds=0.3)

    def has_polled(self) -> None:
        """Wait until a poll was answered."""
        eventually(lambda: self.reader.read(100, 0.05) == [] and not self.health.asking, "it has polled")


Open = Callable[..., AbstractContextManager[Reading]]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    @contextmanager
    def opened(database: Database, **fields: Any) -> Iterator[Reading]:
        trigger = QueryRows.model_validate({"account": database.account, "interval": "20ms", **fields})
        health = Health("trigger")
        context = WorkerContext("flow", 0, 1, threading.Event(), health, state_dir=tmp_path)
        reader = PollingReader(trigger, context)
        try:
            yield Reading(reader, health)
        finally:
            reader.close(10.0)

    return opened


def insert(database: Database, table: str, *rows: tuple[Any, ...]) -> None:
    for row in rows:
        values = ", ".join("NULL" if value is None else repr(value) for value in row)
        database.execute(f"INSERT INTO {table} VALUES ({values})")


def test_rows_have_columns_and_their_place(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "Ann", 10, None))
    with opened(database, table=table, cursor_column="changed") as reading:
        (record,) = reading.records(1)
    assert record.body == {"id": 1, "name": "Ann", "changed": 10, "done": None}
    assert record.raw == b'{"id":1,"name":"Ann","changed":10,"done":null}'
    assert record.meta == {"table": table, "cursor": {"changed": 10, "id": 1}}


def test_equal_cursors_are_told_apart_by_the_key_across_pages_and_polls(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, *[(number, "x", 10, None) for number in range(1, 8)])
    with opened(database, table=table, cursor_column="changed", batch_size=3, lag=0) as reading:
        assert reading.ids(7) == [1, 2, 3, 4, 5, 6, 7]
        insert(database, table, (8, "x", 10, None), (9, "x", 11, None))
        assert reading.ids(2) == [8, 9]
        reading.nothing()


def test_a_changed_row_comes_again_and_a_deleted_one_changes_nothing(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "Ann", 10, None), (2, "Bob", 11, None))
    with opened(database, table=table, cursor_column="changed") as reading:
        assert reading.ids(2) == [1, 2]
        database.execute(f"UPDATE {table} SET changed = 12 WHERE id = 1")
        assert reading.ids(1) == [1]
        database.execute(f"DELETE FROM {table} WHERE id = 1")
        reading.nothing()
    with opened(database, table=table, cursor_column="changed") as reading:
        reading.has_polled()
        reading.nothing()
        insert(database, table, (3, "Cid", 12, None))
        assert reading.ids(1) == [3]


def test_rows_that_came_while_it_was_down(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "Ann", 10, None))
    for expected in ([1], [2, 3], [4]):
        insert(database, table, *[(number, "x", number * 10, None) for number in expected if number > 1])
        with opened(database, table=table, cursor_column="id") as reading:
            assert reading.ids(len(expected)) == expected


def test_a_row_that_was_committed_late_is_found_also_after_a_restart(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "a", 1, None), (4, "a", 4, None))
    with opened(database, table=table, cursor_column="id", lag="60s") as reading:
        assert reading.ids(2) == [1, 4]
        insert(database, table, (3, "late", 3, None))
        assert reading.ids(1) == [3]
    insert(database, table, (2, "later", 2, None))
    with opened(database, table=table, cursor_column="id", lag="60s") as reading:
        assert reading.ids(1) == [2]
        reading.nothing()


def test_without_a_lag_a_late_row_is_not_looked_for(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (4, "a", 4, None))
    with opened(database, table=table, cursor_column="id", lag=0) as reading:
        assert reading.ids(1) == [4]
        insert(database, table, (3, "late", 3, None), (5, "a", 5, None))
        assert reading.ids(1) == [5]


def test_what_is_old_enough_is_settled(database: Database, opened: Open, tmp_path: Path) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (4, "a", 4, None), (5, "a", 5, None))
    with opened(database, table=table, cursor_column="id", lag="200ms") as reading:
        assert reading.ids(2) == [4, 5]
        store = CursorStore(tmp_path, "flow", "sql.query-rows")
        settled = {"last": [5], "settled": [5], "since": None, "seen": []}
        eventually(lambda: reading.reader.read(1, 0.01) == [] and store.load().cursor == settled, "it is settled")


@pytest.mark.parametrize(
    ("since", "expected"), [("now", [4, 5]), ("beginning", [1, 2, 3, 4, 5]), (10, [3, 4, 5]), ("10", [3, 4, 5])]
)
def test_where_it_begins(database: Database, opened: Open, since: Any, expected: list[int]) -> None:
    table = database.create_table(COLUMNS)
    rows = [(1, "a", 9, None), (2, "a", 10, None), (3, "a", 11, None), (4, "a", 12, None), (5, "a", 13, None)]
    insert(database, table, *rows[:3])
    with opened(database, table=table, cursor_column="changed", since=since) as reading:
        early = [] if since == "now" else reading.ids(len(expected) - 2)
        reading.has_polled()
        reading.nothing()
        insert(database, table, *rows[3:])
        assert early + reading.ids(2) == expected
    with opened(database, table=table, cursor_column="changed") as reading:
        reading.has_polled()
        reading.nothing()


def test_what_is_committed_late_behind_now_is_found(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "a", 1, None), (3, "a", 3, None))
    with opened(database, table=table, cursor_column="id", since="now") as reading:
        reading.has_polled()
        insert(database, table, (2, "late", 2, None))
        assert reading.ids(1) == [2]
        reading.nothing()


@pytest.mark.parametrize("since", ["now", 0])
def test_an_empty_table_is_a_beginning(database: Database, opened: Open, since: Any) -> None:
    table = database.create_table(COLUMNS)
    with opened(database, table=table, cursor_column="id", since=since) as reading:
        reading.has_polled()
    insert(database, table, (1, "a", 1, None))
    with opened(database, table=table, cursor_column="id", since=since) as reading:
        assert reading.ids(1) == [1]


def test_rows_without_a_cursor_are_not_read(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "a", None, None), (2, "a", 5, None), (3, "a", None, None))
    with opened(database, table=table, cursor_column="changed") as reading:
        assert reading.ids(1) == [2]
        reading.nothing()


def test_a_cursor_of_several_columns(database: Database, opened: Open) -> None:
    table = database.create_table("year bigint, number bigint, id bigint, PRIMARY KEY (year, number)")
    insert(database, table, (2023, 7, 1), (2024, 1, 2), (2024, 2, 3))
    with opened(database, table=table, cursor_column=["year", "number"], batch_size=1, lag=0) as reading:
        assert reading.ids(3) == [1, 2, 3]
        insert(database, table, (2024, 3, 4), (2025, 1, 5))
        assert reading.ids(2) == [4, 5]


def test_a_query_and_a_condition_which_may_be_changed(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "Ann", 1, None), (2, "Bob", 2, None), (3, "Ann", 3, None))
    query = f"SELECT id, UPPER(name) AS upper_name FROM {table} WHERE changed > 0 -- the first version"
    with opened(database, query=query, where="id <> 2", cursor_column="id") as reading:
        assert [record.body for record in reading.records(2)] == [
            {"id": 1, "upper_name": "ANN"},
            {"id": 3, "upper_name": "ANN"},
        ]
    insert(database, table, (4, "Dan", 4, None))
    with opened(database, query=f"SELECT id, name FROM {table};", cursor_column="id") as reading:
        assert [record.body for record in reading.records(1)] in (
            [{"id": 4, "name": "Dan"}],
            # The condition that kept it out is gone, and it may have been committed late.
            [{"id": 2, "name": "Bob"}],
        )


def test_a_query_that_uses_the_cursor(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, *[(number, "a", number, None) for number in range(1, 6)])
    query = f"SELECT id FROM {table} WHERE id >= :cursor"
    with opened(database, query=query, cursor_column="id", since=2, batch_size=2) as reading:
        assert reading.ids(3) == [3, 4, 5]
        insert(database, table, (6, "a", 6, None))
        assert reading.ids(1) == [6]
        reading.nothing()


def test_rows_are_consumed_by_a_statement(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, *[(number, "a", number, None) for number in range(1, 6)])
    consumed = f"UPDATE {table} SET done = 1 WHERE id = :id"
    fields: dict[str, Any] = {"table": table, "where": "done IS NULL", "consumed": consumed, "key_column": "id"}
    with opened(database, **fields, batch_size=2) as reading:
        assert [record.body["id"] for record in reading.reader.read(100, 5.0)] == [1, 2]
        reading.nothing()
        reading.reader.commit(reading.reader.position())
        assert reading.ids(2) == [3, 4]
    assert database.execute(f"SELECT id FROM {table} WHERE done = 1 ORDER BY id") == [(1,), (2,), (3,), (4,)]
    database.execute(f"UPDATE {table} SET done = NULL WHERE id = 4")
    with opened(database, **fields, batch_size=2) as reading:
        assert reading.ids(1) == [5], "what was delivered before a crash is marked first"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"table": "t", "query": "SELECT 1", "cursor_column": "id"}, "either a table or a query"),
        ({"cursor_column": "id"}, "either a table or a query"),
        ({"table": "t"}, "give a cursor_column"),
        (
            {"table": "t", "cursor_column": "id", "consumed": "DELETE FROM t WHERE id = :id"},
            "either a cursor_column or",
        ),
        ({"table": "t", "consumed": "DELETE FROM t"}, "needs a column of the row as a parameter"),
        ({"query": "SELECT * FROM t WHERE id > :cursor", "cursor_column": "id"}, "needs a value of the cursor"),
    ],
)
def test_fields_that_do_not_fit_together_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        QueryRows.model_validate({"account": {"url": "sqlite:///x.db"}, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cursor_column": "idd"}, "the rows have no column 'idd'; did you mean 'id'?"),
        ({"cursor_column": "changed", "key_column": "nam"}, "the rows have no column 'nam'; did you mean 'name'?"),
        ({"cursor_column": "id", "where": "nonsense = 1"}, "nonsense"),
        ({"cursor_column": "id", "where": "id ="}, "syntax"),
    ],
)
def test_mistakes_stop_the_flow_with_their_reason(
    database: Database, opened: Open, fields: dict[str, Any], message: str
) -> None:
    table = database.create_table(COLUMNS)
    with opened(database, table=table, **fields) as reading, pytest.raises(FatalError, match=message):
        reading.records(1)


def test_a_table_without_a_key_needs_one(database: Database, opened: Open) -> None:
    table = database.create_table("id bigint, changed bigint")
    with (
        opened(database, table=table, cursor_column="changed") as reading,
        pytest.raises(FatalError, match="has no primary key, by which rows with the same changed could be told apart"),
    ):
        reading.records(1)
    unique = database.create_table("id bigint UNIQUE, changed bigint")
    insert(database, unique, (1, 1), (2, 1))
    with opened(database, table=unique, cursor_column="id") as reading:
        assert reading.ids(2) == [1, 2]


def test_a_query_without_a_key_says_when_it_needs_one(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "a", 1, None), (2, "a", 1, None))
    with (
        opened(database, query=f"SELECT * FROM {table}", cursor_column="changed") as reading,
        pytest.raises(FatalError, match="several rows have the same changed; name a key_column"),
    ):
        reading.records(1)


def test_another_cursor_column_is_refused(database: Database, opened: Open) -> None:
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "a", 1, None))
    with opened(database, table=table, cursor_column="id") as reading:
        reading.ids(1)
    with (
        opened(database, table=table, cursor_column="changed") as reading,
        pytest.raises(FatalError, match=r"cursor_column was \['id'\] and is \['changed'\].*cursor SPEC reset"),
    ):
        reading.records(1)


TYPED = {
    "timestamptz": ("'2024-05-01 12:00:00.123456+02'", "2024-05-01T10:00:00.123456+00:00"),
    "timestamp": ("'2024-05-01 12:00:00'", "2024-05-01T12:00:00"),
    "date": ("'2024-05-01'", "2024-05-01"),
    "numeric(30,2)": ("12.50", 12.5),
    "uuid": ("'5f3a3e6e-8c4b-4c51-9f2e-2b6d1c0e7a11'", "5f3a3e6e-8c4b-4c51-9f2e-2b6d1c0e7a11"),
    "bytea": ("'\\x00ff'", "AP8="),
    "text": ("'Zoë'", "Zoë"),
    "double precision": ("0.1", 0.1),
    "jsonb": ("'{\"a\": [1]}'", {"a": [1]}),
}


@pytest.mark.parametrize("kind", [kind for kind in TYPED if kind != "jsonb"])
def test_a_cursor_of_any_type_goes_on_where_it_was(postgresql: PostgresServer, opened: Open, kind: str) -> None:
    literal, body = TYPED[kind]
    table = postgresql.create_table(f"id bigint PRIMARY KEY, at {kind}")
    postgresql.execute(f"INSERT INTO {table} VALUES (1, {literal})")
    with opened(postgresql, table=table, cursor_column="at", lag=0) as reading:
        (record,) = reading.records(1)
        assert record.body["at"] == body
    postgresql.execute(f"INSERT INTO {table} VALUES (2, {literal})")
    with opened(postgresql, table=table, cursor_column="at", lag=0) as reading:
        assert reading.ids(1) == [2]
        reading.nothing()


def test_values_are_as_json_has_them(postgresql: PostgresServer, opened: Open) -> None:
    kinds = list(TYPED)
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(kinds))
    table = postgresql.create_table(f"id bigint PRIMARY KEY, {columns}")
    postgresql.execute(f"INSERT INTO {table} VALUES (1, {', '.join(TYPED[kind][0] for kind in kinds)})")
    with opened(postgresql, table=table, cursor_column="id", decimals="text") as reading:
        (record,) = reading.records(1)
    expected = {f"c{number}": TYPED[kind][1] for number, kind in enumerate(kinds)}
    assert record.body == {"id": 1, **expected, f"c{kinds.index('numeric(30,2)')}": "12.50"}


def test_a_number_in_json_may_have_any_length(postgresql: PostgresServer, opened: Open) -> None:
    table = postgresql.create_table("id bigint PRIMARY KEY, data jsonb")
    postgresql.execute(f"INSERT INTO {table} VALUES (1, '{{\"n\": 123456789012345678901234567890}}')")
    with opened(postgresql, table=table, cursor_column="id") as reading:
        (record,) = reading.records(1)
    assert record.body["data"] == {"n": 1.2345678901234568e29}


def test_since_a_time(postgresql: PostgresServer, opened: Open) -> None:
    table = postgresql.create_table("id bigint PRIMARY KEY, at timestamptz")
    for day in (1, 2, 3):
        postgresql.execute(f"INSERT INTO {table} VALUES ({day}, '2024-05-0{day} 00:00:00+00')")
    with opened(postgresql, table=table, cursor_column="at", since="2024-05-01T12:00:00Z") as reading:
        assert reading.ids(2) == [2, 3]


SLOW = {"postgresql": "SELECT id, pg_sleep(600) FROM {}", "mariadb": "SELECT id, SLEEP(600) FROM {}"}


@pytest.mark.parametrize("system", SLOW)
def test_a_query_that_takes_too_long_is_cancelled_in_the_server(
    system: str, request: pytest.FixtureRequest, opened: Open
) -> None:
    database: Database = request.getfixturevalue(system)
    table = database.create_table(COLUMNS)
    insert(database, table, (1, "a", 1, None))
    running = {
        "postgresql": f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%sleep%{table}%' "
        "AND pid <> pg_backend_pid()",
        "mariadb": f"SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP%{table}%' "
        "AND id <> connection_id()",
    }[system]
    with opened(database, query=SLOW[system].format(table), cursor_column="id", timeout="300ms") as reading:
        eventually(lambda: database.execute(running) == [(1,)], "it runs")
        eventually(lambda: reading.health.state == "down", "it is cancelled")
        assert "longer than its timeout of 0.3 s" in str(reading.health.reason)
    eventually(lambda: database.execute(running) == [(0,)], "it does not run any more")


def test_a_stop_does_not_wait_for_a_slow_query(sqlite: SqliteFile, opened: Open) -> None:
    table = sqlite.create_table(COLUMNS)
    insert(sqlite, table, (1, "a", 1, None))
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT max(id) AS id FROM n"
    with opened(sqlite, query=endless, cursor_column="id") as reading:
        eventually(lambda: reading.health.asking, "it asks")
        time.sleep(0.2)
        reading.reader.stop()
        reading.reader.close(10.0)
        assert not any(thread.name == "trigger-poll" for thread in threading.enumerate())


def test_a_server_that_was_killed_is_waited_for(own_postgresql: PostgresServer, opened: Open) -> None:
    table = own_postgresql.create_table(COLUMNS)
    insert(own_postgresql, table, (1, "a", 1, None))
    with opened(own_postgresql, table=table, cursor_column="id") as reading:
        assert reading.ids(1) == [1]
        own_postgresql.kill()
        eventually(lambda: reading.health.state == "down", "it is down")
        own_postgresql.start()
        insert(own_postgresql, table, (2, "a", 2, None))
        assert reading.ids(1) == [2]
        assert reading.health.state == "up"
