"""The sink by itself, on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from flowspec.connectors import Writer
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Failure, Record
from sinks.sql import WriteRows, rows
from sinks.sql import writer as writer_module
from sources.testing.flows import eventually
from tests.servers.database import Database, DatabaseServer
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile
from tests.sinks.ends import open_writer, records

COLUMNS = "id integer PRIMARY KEY, name varchar(10) NOT NULL, total integer DEFAULT 7"


def writing(database: Database, table: str, **fields: Any) -> Writer:
    return open_writer(WriteRows.model_validate({"account": database.account, "table": table, **fields}))


def write(database: Database, table: str, *bodies: Any, **fields: Any) -> Sequence[Failure]:
    with closing(writing(database, table, **fields)) as writer:
        return writer.write(records(*bodies))


def rows_of(database: Database, table: str, columns: str = "id, name, total") -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT {columns} FROM {table} ORDER BY id")


def said(failures: Sequence[Failure]) -> list[tuple[Any, str]]:
    """The ids of records that failed for good, and why."""
    assert all(isinstance(failure.error, RecordError) for failure in failures), failures
    return [(failure.record.body["id"], str(failure.error)) for failure in failures]


def test_fields_of_the_body_are_columns_and_missing_ones_take_the_default(database: Database) -> None:
    table = database.create_table(COLUMNS)

    assert (
        write(
            database,
            table,
            {"id": 1, "name": "a", "total": 10},
            {"id": 2, "name": "b"},
            {"name": "ü😀", "id": 3, "total": None},
        )
        == []
    )

    assert rows_of(database, table) == [(1, "a", 10), (2, "b", 7), (3, "ü😀", None)]


def test_columns_are_expressions(database: Database) -> None:
    table = database.create_table(COLUMNS)
    columns = {"id": "order.id", "name": "customer.upper()", "total": 5}
    bodies = {"order": {"id": 1}, "customer": "ann", "more": []}, {"id": 2, "customer": "bob"}

    (failure,) = write(database, table, *bodies, columns=columns)

    assert rows_of(database, table) == [(1, "ANN", 5)]
    assert failure.record.body == bodies[1]
    assert "id" in str(failure.error)


def test_bad_rows_are_found_by_halves_and_all_others_are_written(database: Database) -> None:
    table = database.create_table(COLUMNS)
    # SQLite does not look at lengths.
    too_long = None if isinstance(database, SqliteFile) else "x" * 11
    bad: dict[int, dict[str, Any]] = {17: {"name": too_long}, 18: {"name": None}, 400: {"id": 3}, 999: {"name": None}}
    batch = records(*({"id": number, "name": "a", **bad.get(number, {})} for number in range(1000)))

    with closing(writing(database, table)) as writer:
        failures = writer.write(batch)

    places = {id(record): place for place, record in enumerate(batch)}
    assert [places[id(failure.record)] for failure in failures] == list(bad)
    messages = [message for _, message in said(failures)]
    assert all(message.startswith("the database refuses it: ") for message in messages)
    assert "UNIQUE" in messages[2].upper() or "Duplicate entry '3'" in messages[2]
    assert [id_ for (id_,) in rows_of(database, table, "id")] == [n for n in range(1000) if n not in bad]


def test_a_batch_is_one_transaction_unless_a_row_of_it_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = database.create_table(COLUMNS)
    seen: list[int] = []
    inserts = rows.RowTable._inserts

    def looking(self: Any, together: Any) -> Any:
        for shape in inserts(self, together):
            yield shape
            seen.append(len(rows_of(database, table)))

    monkeypatch.setattr(rows.RowTable, "_inserts", looking)

    assert write(database, table, {"id": 1, "name": "a"}, {"id": 2, "name": "b", "total": 1}) == []

    # Two statements, and nobody sees the first before the second.
    assert seen == [0, 0]
    assert len(rows_of(database, table)) == 2


def test_an_upsert_replaces_what_the_record_has(database: Database) -> None:
    table = database.create_table(COLUMNS)
    database.execute(f"INSERT INTO {table} VALUES (1, 'old', 1), (2, 'old', 2)")

    with closing(writing(database, table, mode="upsert")) as writer:
        for _ in range(2):
            assert writer.write(records({"id": 1, "name": "new"}, {"id": 3, "name": "new", "total": 3})) == []

    assert rows_of(database, table) == [(1, "new", 1), (2, "old", 2), (3, "new", 3)]


def test_of_one_key_in_a_batch_the_last_wins(database: Database) -> None:
    table = database.create_table(COLUMNS)

    assert (
        write(
            database,
            table,
            {"id": 1, "name": "a"},
            {"id": 2, "name": "other"},
            {"id": 1, "name": "b", "total": 1},
            {"id": 1, "name": "c"},
            {"id": 1, "name": "d"},
            {"id": 3, "name": "e", "total": 1},
            {"id": 3, "name": "f", "total": 2},
            mode="upsert",
            key=["id"],
        )
        == []
    )

    assert rows_of(database, table) == [(1, "d", 1), (2, "other", 7), (3, "f", 2)]


def test_an_upsert_of_nothing_but_its_key_leaves_the_row(database: Database) -> None:
    table = database.create_table("id integer PRIMARY KEY, name varchar(10) DEFAULT 'none'")
    database.execute(f"INSERT INTO {table} VALUES (1, 'old')")

    assert write(database, table, {"id": 1}, {"id": 2}, mode="upsert") == []

    assert rows_of(database, table, "id, name") == [(1, "old"), (2, "none")]


def test_a_row_without_a_key_is_refused(database: Database) -> None:
    table = database.create_table(COLUMNS)

    failures = write(database, table, {"id": None, "name": "a"}, {"name": "b"}, {"id": 1, "name": "c"}, mode="upsert")

    assert [str(failure.error) for failure in failures] == ["column 'id' of 'key' has no value"] * 2
    assert rows_of(database, table) == [(1, "c", 7)]


def test_conflicts_are_ignored_and_nothing_else_is(database: Database) -> None:
    table = database.create_table(COLUMNS)
    database.execute(f"INSERT INTO {table} VALUES (1, 'old', 1)")
    bodies = {"id": 1, "name": "new"}, {"id": 2, "name": "new"}, {"id": 3, "name": None}, {"id": 2, "name": "again"}

    failures = write(database, table, *bodies, on_conflict="ignore")

    assert [id_ for id_, _ in said(failures)] == [3]
    assert rows_of(database, table) == [(1, "old", 1), (2, "new", 7)]


def test_an_unknown_field_names_the_nearest_column(database: Database) -> None:
    table = database.create_table(COLUMNS)
    bodies = {"id": 1, "nmae": "a"}, {"id": 2, "name": "b", "zzz": 1}, {"id": 3, "name": "c"}

    failures = write(database, table, *bodies)

    assert said(failures) == [
        (1, f"table {table} has no column 'nmae'; did you mean 'name'?"),
        (2, f"table {table} has no column 'zzz'; it has id, name, total"),
    ]
    assert write(database, table, {"id": 4, "name": "d", "zzz": 1}, ignore_unknown=True) == []
    assert [id_ for (id_,) in rows_of(database, table, "id")] == [3, 4]


def test_what_is_no_row_is_named(database: Database) -> None:
    table = database.create_table(COLUMNS)

    failures = write(database, table, [1], "text", {}, {"id": "one", "name": "a"})

    assert [str(failure.error) for failure in failures] == [
        "the body is not an object whose fields are columns, but list: give 'columns'",
        "the body is not an object whose fields are columns, but str: give 'columns'",
        "none of its fields is a column",
        "column 'id' takes a whole number, not 'one'",
    ]


def test_a_new_column_is_seen_while_the_flow_runs(database: Database) -> None:
    table = database.create_table(COLUMNS)
    with closing(writing(database, table)) as writer:
        assert writer.write(records({"id": 1, "name": "a"})) == []
        database.execute(f"ALTER TABLE {table} ADD COLUMN note varchar(10)")

        assert writer.write(records({"id": 2, "name": "b", "note": "new"})) == []

    assert rows_of(database, table, "id, note") == [(1, None), (2, "new")]


def test_a_column_that_goes_away_is_missed_by_the_records_that_have_it(database: Database) -> None:
    table = database.create_table(COLUMNS)
    with closing(writing(database, table)) as writer:
        assert writer.write(records({"id": 1, "name": "a", "total": 1})) == []
        database.execute(f"ALTER TABLE {table} DROP COLUMN total")

        failures = writer.write(records({"id": 2, "name": "b", "total": 2}, {"id": 3, "name": "c"}))

    assert said(failures) == [(2, f"table {table} has no column 'total'; it has id, name")]
    assert rows_of(database, table, "id") == [(1,), (3,)]


def test_a_table_that_does_not_exist_stops_the_flow(database: Database) -> None:
    table = database.create_table(COLUMNS)
    for name, hint in (("unknown", "a flow does not create one"), (f"{table}x", f"did you mean '{table}'?")):
        with pytest.raises(FatalError) as raised:
            write(database, name, {"id": 1})
        assert f"there is no table {name}; {hint}" in str(raised.value)
        assert "password" not in str(raised.value)

    with closing(writing(database, table)) as writer:
        assert writer.write(records({"id": 1, "name": "a"})) == []
        database.execute(f"DROP TABLE {table}")
        with pytest.raises(FatalError, match=f"there is no table {table}"):
            writer.write(records({"id": 2, "name": "a"}))


def test_a_column_of_the_spec_that_does_not_exist_stops_the_flow(database: Database) -> None:
    table = database.create_table(COLUMNS)
    for fields in ({"columns": {"id": "id", "nmae": "name"}}, {"mode": "upsert", "key": ["nmae"]}):
        with pytest.raises(FatalError, match=f"table {table} has no column 'nmae'; did you mean 'name'?"):
            write(database, table, {"id": 1, "name": "a"}, **fields)


def test_a_key_without_a_unique_index_stops_the_flow(database: Database) -> None:
    table = database.create_table("id integer, name varchar(10)")

    with pytest.raises(FatalError, match="no primary key: give 'key'"):
        write(database, table, {"id": 1}, mode="upsert")
    with pytest.raises(FatalError, match="unique index of exactly the columns of 'key'"):
        write(database, table, {"id": 1, "name": "a"}, mode="upsert", key=["id"])

    database.execute(f"CREATE UNIQUE INDEX {table}_index ON {table} (name, id)")
    assert write(database, table, {"id": 1, "name": "a"}, mode="upsert", key=["id", "name"]) == []


def test_a_row_that_only_the_commit_refuses_is_found(postgresql: PostgresServer) -> None:
    table = postgresql.create_table("id integer UNIQUE DEFERRABLE INITIALLY DEFERRED")

    failures = write(postgresql, table, *({"id": number} for number in (1, 2, 3, 2, 4)))

    assert [id_ for id_, _ in said(failures)] == [2]
    assert postgresql.execute(f"SELECT id FROM {table} ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_what_is_known_of_four_databases_only_is_refused_for_others(
    sqlite: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sqlite.create_table(COLUMNS)
    monkeypatch.setattr(SQLiteDialect_pysqlite, "name", "another")

    with pytest.raises(FatalError, match=r"mode 'upsert' is for PostgreSQL, .*, not for another: use mode 'insert'"):
        write(sqlite, table, {"id": 1, "name": "a"}, mode="upsert")
    with pytest.raises(FatalError, match="on_conflict 'ignore' is for"):
        write(sqlite, table, {"id": 1, "name": "a"}, on_conflict="ignore")
    assert write(sqlite, table, {"id": 1, "name": "a"}) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"key": ["id"]}, "'key' is for mode 'upsert'"),
        ({"mode": "upsert", "on_conflict": "ignore"}, "'on_conflict' is for mode 'insert'"),
        ({"mode": "upsert", "key": ["id"], "columns": {"name": "name"}}, "'key' has what 'columns' does not have: id"),
        ({"ignore_unknown": True, "columns": {"id": "id"}}, "give one of them"),
        ({"table": ".orders"}, "'.orders' is no name of a table"),
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WriteRows.model_validate({"account": "shop", "table": "orders", **fields})


def test_a_schema_stands_before_the_dot(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    for server in (postgresql, mariadb):
        schema = server.create_table("id integer")
        server.execute(f"CREATE SCHEMA {schema}_schema")
        server.execute(
            f'CREATE TABLE {schema}_schema.orders (id integer PRIMARY KEY, "order" integer)'.replace(
                '"', '"' if server is postgresql else "`"
            )
        )

        assert write(server, f"{schema}_schema.orders", {"id": 1, "order": 2}, mode="upsert") == []

        assert server.execute(f"SELECT * FROM {schema}_schema.orders") == [(1, 2)]
        server.execute(f"DROP SCHEMA {schema}_schema {'CASCADE' if server is postgresql else ''}")


PLAIN = {
    "id": 1,
    "decimal_": "12345678901234567890.12345",
    "float_": 1.5e-7,
    "flag": True,
    "at": "2024-05-01T14:00:00.123456+02:00",
    "day": "2024-05-01",
    "clock": "12:30:00",
    "blob_": base64.b64encode(b"\x00\xff").decode(),
    "json_": {"b": [1, None, {"c": "ü"}], "a": 2**53},
    "text_": ["in", {"JSON": True}],
}


def test_values_become_what_the_column_has_on_postgresql(postgresql: PostgresServer) -> None:
    table = postgresql.create_table(
        "id integer, decimal_ numeric, float_ double precision, flag boolean, at timestamptz, at_plain timestamp, "
        "day date, clock time, blob_ bytea, json_ jsonb, text_ text, uuid_ uuid, tags text[], days date[], "
        "span interval, host inet"
    )
    body = {
        **PLAIN,
        "at_plain": PLAIN["at"],
        "uuid_": "00000000-0000-0000-0000-00000000000a",
        "tags": ["a", None],
        "days": ["2024-05-01"],
        "span": 90,
        "host": "10.0.0.1",
    }

    assert write(postgresql, table, body, {"id": 2, "json_": None, "at": "2024-05-01T12:00:00"}) == []

    asked = (
        "decimal_::text, float_, flag, at AT TIME ZONE 'UTC' = timestamp '2024-05-01 12:00:00.123456', "
        "at_plain = timestamp '2024-05-01 12:00:00.123456', day::text, clock::text, blob_, json_, text_, uuid_::text, "
        "tags, days::text, span::text, host::text"
    )
    assert postgresql.execute(f"SELECT {asked} FROM {table} WHERE id = 1") == [
        (
            PLAIN["decimal_"], 1.5e-7, True, True, True, "2024-05-01", "12:30:00", b"\x00\xff", PLAIN["json_"],
            '["in",{"JSON":true}]', body["uuid_"], ["a", None], "{2024-05-01}", "00:01:30", "10.0.0.1/32",
        )
    ]  # fmt: skip
    assert postgresql.execute(
        f"SELECT json_ IS NULL, at AT TIME ZONE 'UTC' = timestamp '2024-05-01 12:00:00' FROM {table} WHERE id = 2"
    ) == [(True, True)]


def test_values_become_what_the_column_has_on_mariadb(mariadb: MariadbServer) -> None:
    table = mariadb.create_table(
        "id integer, decimal_ decimal(30, 5), float_ double, flag boolean, at datetime(6), stamp timestamp(6) NULL, "
        "day date, clock time, blob_ blob, json_ json, text_ text"
    )

    assert write(mariadb, table, {**PLAIN, "stamp": PLAIN["at"]}) == []

    asked = (
        "CAST(decimal_ AS CHAR), float_, flag, CAST(at AS CHAR), UNIX_TIMESTAMP(stamp) = 1714564800.123456, "
        "CAST(day AS CHAR), CAST(clock AS CHAR), blob_, json_, text_"
    )
    assert mariadb.execute(f"SELECT {asked} FROM {table}") == [
        (
            PLAIN["decimal_"], 1.5e-7, 1, "2024-05-01 12:00:00.123456", 1, "2024-05-01", "12:30:00", b"\x00\xff",
            '{"b":[1,null,{"c":"ü"}],"a":9007199254740992}', '["in",{"JSON":true}]',
        )
    ]  # fmt: skip


def test_values_become_what_the_column_has_on_sqlite(sqlite: SqliteFile) -> None:
    table = sqlite.create_table(
        "id integer, decimal_ numeric, float_ real, flag boolean, at timestamp, day date, clock time, blob_ blob, "
        "json_ json, text_ text"
    )

    assert write(sqlite, table, {**PLAIN, "decimal_": "12.50"}) == []

    assert sqlite.execute(f"SELECT * FROM {table}") == [
        (
            1, 12.5, 1.5e-7, 1, "2024-05-01 12:00:00.123456", "2024-05-01", "12:30:00.000000", b"\x00\xff",
            '{"b":[1,null,{"c":"ü"}],"a":9007199254740992}', '["in",{"JSON":true}]',
        )
    ]  # fmt: skip


def test_a_value_that_the_driver_cannot_send_is_one_of_its_record(database: Database) -> None:
    table = database.create_table("id integer, name varchar(10), body json")
    bodies = [{"id": 1, "name": "\ud800"}, {"id": 2**70, "name": "a"}, {"id": 3, "body": {"n": 10**30}}, {"id": 4}]

    failures = write(database, table, *bodies)

    assert {failure.record.body["id"] for failure in failures} == {1, 2**70, 3}
    assert all(isinstance(failure.error, RecordError) for failure in failures)
    assert database.execute(f"SELECT id FROM {table}") == [(4,)]


def test_a_row_larger_than_a_packet_is_not_sent_for_ever(mariadb: MariadbServer) -> None:
    table = mariadb.create_table("id integer, body longtext")
    with closing(writing(mariadb, table)) as writer:
        batch = records({"id": 1, "body": "small"}, {"id": 2, "body": "'" * 9_000_000}, {"id": 3, "body": "small"})

        failures = writer.write(batch)

        poison = [failure for failure in failures if isinstance(failure.error, RecordError)]
        assert [failure.record for failure in poison] == [batch[1]]
        assert "max_allowed_packet" in str(poison[0].error)
        again: list[Record] = [failure.record for failure in failures if failure not in poison]
        assert writer.write(again) == []
    assert mariadb.execute(f"SELECT id FROM {table} ORDER BY id") == [(1,), (3,)]


def test_a_lock_is_waited_for(sqlite: SqliteFile) -> None:
    table = sqlite.create_table(COLUMNS)
    account = {**sqlite.account, "options": {"timeout": 0.1}}
    with closing(open_writer(WriteRows.model_validate({"account": account, "table": table}))) as writer:
        with closing(sqlite.connect(autocommit=True)) as other:
            other.execute("BEGIN IMMEDIATE")
            batch = records({"id": 1, "name": "a"})
            (failure,) = writer.write(batch)
            assert isinstance(failure.error, TransientError)
            assert "database is locked" in str(failure.error)
            other.execute("COMMIT")
        assert writer.write(batch) == []
    assert rows_of(sqlite, table) == [(1, "a", 7)]


@pytest.mark.parametrize("name", ["own_postgresql", "own_mariadb"])
def test_a_server_that_dies_is_waited_for(name: str, request: pytest.FixtureRequest) -> None:
    server: DatabaseServer = request.getfixturevalue(name)
    table = server.create_table(COLUMNS)
    with closing(writing(server, table)) as writer:
        assert writer.write(records({"id": 1, "name": "a"})) == []
        server.kill()
        batch = records({"id": 2, "name": "b"})
        (failure,) = writer.write(batch)
        assert isinstance(failure.error, TransientError)
        with pytest.raises(TransientError):
            writer.write(batch)
        server.start()
        assert writer.write(batch) == []
    assert rows_of(server, table) == [(1, "a", 7), (2, "b", 7)]


def test_when_the_connection_is_lost_between_halves_the_rest_is_tried_again(
    postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = postgresql.create_table(COLUMNS)
    commit = writer_module.RowWriter._commit
    left = iter([commit, commit])

    def losing(self: Any, rows: Any) -> None:
        # The second half: the first has found the bad row.
        if rows[0].values["id"] == 2:
            self._connection.connection.driver_connection.close()
        next(left, commit)(self, rows)

    monkeypatch.setattr(writer_module.RowWriter, "_commit", losing)
    batch = records({"id": 0, "name": None}, *({"id": number, "name": "a"} for number in range(1, 4)))
    with closing(writing(postgresql, table)) as writer:
        failures = writer.write(batch)

        assert [failure.record.body["id"] for failure in failures] == [0, 2, 3]
        assert [type(failure.error) for failure in failures] == [RecordError, TransientError, TransientError]
        monkeypatch.undo()
        assert writer.write(batch[2:]) == []
    assert [id_ for (id_,) in rows_of(postgresql, table, "id")] == [1, 2, 3]


def test_a_connection_that_was_idle_is_not_trusted(postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    table = postgresql.create_table("id integer, process integer DEFAULT pg_backend_pid()")
    with closing(writing(postgresql, table)) as writer:
        for number in range(2):
            assert writer.write(records({"id": number})) == []
        monkeypatch.setattr(writer_module, "_TRUSTED", -1.0)
        assert writer.write(records({"id": 2})) == []
    (first,), (second,), (third,) = rows_of(postgresql, table, "process")
    assert first == second != third


def test_an_operator_sees_who_is_connected(postgresql: PostgresServer) -> None:
    table = postgresql.create_table("id integer")
    with closing(writing(postgresql, table)) as writer:
        writer.write(records({"id": 1}))
        names = postgresql.execute("SELECT application_name FROM pg_stat_activity WHERE application_name <> ''")
        assert any("write-rows" in name for (name,) in names)
    eventually(
        lambda: not postgresql.execute("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%write-rows%'"),
        "the connection is closed",
    )
