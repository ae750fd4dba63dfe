"""Looking rows up, on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, event

from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Record
from flowspec.registry import register
from flowspec.steps.enrich import Enrich
from sources.sql import looking_up
from sources.testbed import ReadLines
from sources.testing.flows import HostedFlow, Output, eventually
from tests.servers.database import Database, DatabaseServer
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile

CUSTOMERS = "id integer PRIMARY KEY, name varchar(20), tier varchar(10)"


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    HostedFlow.kill_all()


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The SELECTs that are made by key, with their parameters."""
    made: list[str] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if " IN (" in statement and "information_schema" not in statement and "pg_catalog" not in statement:
            made.append(f"{statement} {parameters}")

    event.listen(Engine, "before_cursor_execute", note)
    yield made
    event.remove(Engine, "before_cursor_execute", note)


def enriching(database: Database, **fields: Any) -> Enrich:
    lookup = {"connector": "sql", "account": database.account, "into": "found", **fields}
    return Enrich.model_validate({"enrich": lookup})


@contextmanager
def asked(database: Database, **fields: Any) -> Iterator[Any]:
    asker = enriching(database, **fields).build()
    try:
        yield lambda *bodies: asker.ask([Record("", body) for body in bodies])
    finally:
        asker.close()


def found(outcomes: Sequence[Any]) -> list[Any]:
    """What was found, or why nothing was."""
    return [each.body["found"] if isinstance(each, Record) else str(each) for each in outcomes]


def customers(database: Database, *rows: tuple[Any, ...]) -> str:
    table = database.create_table(CUSTOMERS)
    for row in rows:
        database.execute(f"INSERT INTO {table} VALUES {row}")
    return table


def test_all_keys_of_a_batch_are_one_select(database: Database, statements: list[str]) -> None:
    table = customers(database, (1, "Ann", "gold"), (2, "Bob", "iron"), (3, "Eve", "iron"))
    with asked(database, table=table, by={"id": "customer"}, columns=["name"], missing="null") as ask:
        batch = [{"customer": number} for number in (1, 2, 1, 9, 2)]
        assert found(ask(*batch)) == [{"name": "Ann"}, {"name": "Bob"}, {"name": "Ann"}, None, {"name": "Bob"}]
        assert len(statements) == 1

        assert found(ask(*batch, {"customer": 3})) == [*found(ask(*batch)), {"name": "Eve"}]

    assert len(statements) == 2
    assert "(3" in statements[1] or "[3" in statements[1] or ": 3" in statements[1]


def test_more_keys_than_a_statement_may_have_are_several(
    database: Database, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_up, "_MOST_PARAMETERS", {})
    monkeypatch.setattr(looking_up, "_CAUTIOUSLY", 4)
    table = customers(database, *((number, f"n{number}", "x") for number in range(1, 11)))
    batch = [{"customer": number} for number in range(1, 11)]
    for by, count in (({"id": "customer"}, 3), ({"id": "customer", "tier": "'x'"}, 5)):
        statements.clear()
        with asked(database, table=table, by=by, columns=["name"]) as ask:
            assert [each["name"] for each in found(ask(*batch))] == [f"n{number}" for number in range(1, 11)]
        assert len(statements) == count


def test_a_batch_of_the_largest_size_is_looked_up(database: Database) -> None:
    table = customers(database, (7, "Ann", "gold"))
    with asked(database, table=table, by={"id": "customer"}, missing="null") as ask:
        assert [each for each in found(ask(*({"customer": number} for number in range(10_000)))) if each] == [
            {"id": 7, "name": "Ann", "tier": "gold"}
        ]


def test_keys_are_taken_for_what_the_column_is(database: Database) -> None:
    table = database.create_table("number integer, code varchar(20), day date, label varchar(20)")
    database.execute(f"INSERT INTO {table} VALUES (7, '7', '2024-01-31', 'seven')")
    with asked(database, table=table, by={"number": "n"}, columns=["label"], missing="null") as ask:
        assert found(ask({"n": 7}, {"n": "7"}, {"n": 7.0}, {"n": "8"})) == [{"label": "seven"}] * 3 + [None]
        (error,) = ask({"n": "seven"})
        assert str(error) == "column 'number' takes a whole number, not 'seven'"
    with asked(database, table=table, by={"code": "n"}, columns=["label"], missing="null") as ask:
        assert found(ask({"n": 7}, {"n": "7"}, {"n": "07"}, {"n": 8})) == [{"label": "seven"}] * 2 + [None] * 2
    with asked(database, table=table, by={"day": "n"}, columns=["label"], missing="null") as ask:
        assert found(ask({"n": "2024-01-31"}, {"n": "2024-02-01"})) == [{"label": "seven"}, None]


def test_a_key_of_several_columns(database: Database) -> None:
    table = database.create_table("shop varchar(5), number integer, label varchar(9)")
    database.execute(f"INSERT INTO {table} VALUES ('a', 1, 'a1'), ('b', 1, 'b1'), ('a', 2, 'a2')")
    with asked(database, table=table, by={"shop": "s", "number": "n"}, columns=["label"]) as ask:
        outcomes = ask({"s": "a", "n": 2}, {"s": "b", "n": "1"}, {"s": "b", "n": 2}, {"s": "b", "n": None})

    assert found(outcomes) == [
        {"label": "a2"},
        {"label": "b1"},
        f"table {table} has no row with shop = 'b' and number = 2",
        "the key is null",
    ]
    assert isinstance(outcomes[2], RecordError)


def test_what_becomes_of_records_whose_key_is_missing(database: Database) -> None:
    table = customers(database, (1, "Ann", "gold"))
    options: dict[str, Any] = {"table": table, "by": {"id": "id"}, "columns": ["name"]}
    with asked(database, **options, missing="drop") as ask:
        assert ask({"id": 2}, {"id": None}) == [None, None]
    with asked(database, **options, missing="null", many=True) as ask:
        assert found(ask({"id": 1}, {"id": 2})) == [[{"name": "Ann"}], []]
    with asked(database, **options) as ask:
        record, error, no_key = ask({"id": 1}, {"id": 2}, {"other": 1})
    assert record.body == {"id": 1, "found": {"name": "Ann"}}
    assert str(error) == f"table {table} has no row with id = 2"
    assert "missing field 'id'" in str(no_key)


def test_several_rows_of_a_key(database: Database) -> None:
    table = database.create_table("owner integer, name varchar(9)")
    database.execute(f"INSERT INTO {table} VALUES (1, 'a'), (1, 'b'), (2, 'c')")
    with asked(database, table=table, by={"owner": "id"}, columns=["name"]) as ask:
        error, record = ask({"id": 1}, {"id": 2})
        assert str(error).startswith(f"table {table} has 2 rows with owner = 1; ")
        assert record.body["found"] == {"name": "c"}
    with asked(database, table=table, by={"owner": "id"}, columns=["name"], many=True) as ask:
        several, one = found(ask({"id": 1}, {"id": 2}))
    assert sorted(each["name"] for each in several) == ["a", "b"]
    assert one == [{"name": "c"}]


def test_a_query_has_the_keys_in_it(database: Database, statements: list[str]) -> None:
    table = customers(database, (1, "Ann", "gold"), (2, "Bob", "iron"))
    query = f"SELECT id, upper(name) AS name FROM {table} WHERE id IN :keys -- by their keys"
    with asked(database, query=query, by={"id": "id"}, missing="null") as ask:
        assert found(ask({"id": 1}, {"id": 2}, {"id": 3})) == [{"id": 1, "name": "ANN"}, {"id": 2, "name": "BOB"}, None]
    assert len(statements) == 1

    query = f"SELECT id, tier, name FROM {table} WHERE (id, tier) IN :keys"
    with asked(database, query=query, by={"id": "id", "tier": "tier"}, missing="null") as ask:
        outcomes = ask({"id": 1, "tier": "gold"}, {"id": 2, "tier": "gold"})
    assert found(outcomes) == [{"id": 1, "tier": "gold", "name": "Ann"}, None]

    with asked(database, query=f"SELECT name FROM {table} WHERE id IN :keys", by={"id": "id"}) as ask:
        (error,) = ask({"id": 1})
    assert isinstance(error, FatalError)
    assert "no column 'id'" in str(error)


def test_the_database_says_what_is_equal(database: Database) -> None:
    kind = "varchar(9)"
    if isinstance(database, SqliteFile):
        kind += " COLLATE NOCASE"
    elif isinstance(database, PostgresServer):
        kind = "char(9)"  # comes with blanks behind it
    table = database.create_table(f"code {kind}, n integer")
    database.execute(f"INSERT INTO {table} VALUES ('Ab', 1), ('cd', 2)")
    with asked(database, table=table, by={"code": "code"}, columns=["n"], missing="null") as ask:
        same = "Ab" if isinstance(database, PostgresServer) else "aB"
        assert found(ask({"code": same}, {"code": "cd"}, {"code": "ef"})) == [{"n": 1}, {"n": 2}, None]


def test_a_key_that_the_database_refuses_costs_its_records_only(postgresql: PostgresServer) -> None:
    table = customers(postgresql, (1, "Ann", "gold"), (2, "Bob", "iron"), (3, "Eve", "iron"))
    with asked(postgresql, table=table, by={"id": "id"}, columns=["name"]) as ask:
        ann, refused, bob, eve = ask({"id": 1}, {"id": 2**40}, {"id": 2}, {"id": 3})
    assert isinstance(refused, RecordError)
    assert found([ann, bob, eve]) == [{"name": "Ann"}, {"name": "Bob"}, {"name": "Eve"}]


def test_values_are_those_of_query_rows(database: Database) -> None:
    table = database.create_table("id integer, price numeric(10, 2), at timestamp NULL, note varchar(9)")
    database.execute(f"INSERT INTO {table} VALUES (1, 12.50, '2024-01-31 10:00:00', NULL)")
    with asked(database, table=table, by={"id": "id"}, decimals="text") as ask:
        (row,) = found(ask({"id": 1}))
    at = "2024-01-31 10:00:00" if isinstance(database, SqliteFile) else "2024-01-31T10:00:00"
    price = 12.5 if isinstance(database, SqliteFile) else "12.50"
    assert row == {"id": 1, "price": price, "at": at, "note": None}


def test_a_record_has_a_copy_of_its_own(database: Database) -> None:
    table = customers(database, (1, "Ann", "gold"))
    with asked(database, table=table, by={"id": "id"}, columns=["name"]) as ask:
        for _ in range(2):
            first, second = ask({"id": 1}, {"id": 1})
            assert found([first, second]) == [{"name": "Ann"}] * 2
            first.body["found"]["name"] = "changed by a function"
            assert second.body["found"] == {"name": "Ann"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give either a table or a query"),
        ({"table": "a", "query": "SELECT 1"}, "give either a table or a query"),
        ({"table": ".a"}, "no name of a table"),
        ({"query": "SELECT * FROM a"}, "the query needs the keys once"),
        ({"query": "SELECT * FROM a WHERE id IN :keys AND x = :x"}, "no other parameters"),
        ({"query": "SELECT * FROM a WHERE id IN :keys", "columns": ["a"]}, "a query says itself"),
        ({"table": "a", "by": {}}, "at least 1 item"),
    ],
)
def test_mistakes_are_seen_before_anything_starts(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        enriching(SqliteFile(Path("x.db")), **{"by": {"id": "id"}, **fields})


def test_check_looks_at_table_and_columns(database: Database) -> None:
    table = customers(database)
    said = enriching(database, table=table, by={"id": "x"}).asked.check()
    assert said.endswith(f"table {table} can be read by id")
    query = f"SELECT id AS code FROM {table} WHERE id IN :keys"
    assert enriching(database, query=query, by={"code": "x"}).asked.check().endswith("the query can be read by code")
    for fields, message in (
        ({"table": table, "by": {"idd": "x"}}, "no column 'idd'; did you mean 'id'"),
        ({"table": table, "by": {"id": "x"}, "columns": ["nam"]}, "did you mean 'name'"),
        ({"table": table + "x", "by": {"id": "x"}}, f"there is no table {table}x"),
        ({"query": query, "by": {"id": "x"}}, "no column 'id'"),
    ):
        with pytest.raises(FatalError, match=message):
            enriching(database, **fields).asked.check()


def test_a_database_that_is_down_holds_the_flow(own_postgresql: PostgresServer, tmp_path: Path) -> None:
    table = customers(own_postgresql, (0, "Zoe", "iron"), *((n, f"n{n}", "iron") for n in range(1, 50)))
    source = tmp_path / "in.jsonl"
    register(ReadLines)
    spec = {
        "name": "enriched",
        "trigger": {"connector": "testbed", "path": str(source), "batch_size": 5},
        "steps": [
            {
                "id": "customer",
                "enrich": {
                    "connector": "sql",
                    "account": own_postgresql.account,
                    "table": table,
                    "by": {"id": "id"},
                    "columns": ["name"],
                    "into": "customer",
                    "cache": None,
                },
            }
        ],
        "sink": {"connector": "files", "action": "append", "path": str(tmp_path / "out.jsonl")},
    }
    lines = [json.dumps({"id": n}) + "\n" for n in range(50)]
    flow, output = HostedFlow(tmp_path, spec), Output(tmp_path / "out.jsonl")
    source.write_text("".join(lines[:10]))
    with flow.running():
        eventually(lambda: len(output.lines()) == 10, "the first are delivered")
        assert flow.is_up("customer")
        own_postgresql.kill()
        with source.open("a") as file:
            file.writelines(lines[10:])
        eventually(lambda: flow.is_down("customer"), "the step is down")
        assert flow.run.tally.failed == 0
        own_postgresql.start()
        eventually(lambda: len(output.lines()) == 50, "all are delivered")
        assert flow.is_up("customer")

    assert [line["id"] for line in output.lines()] == list(range(50))
    assert output.lines()[7]["customer"] == {"name": "n7"}
    assert flow.dead_letters() == []


def test_a_connection_that_was_cut_is_made_anew(mariadb: DatabaseServer) -> None:
    table = customers(mariadb, (1, "Ann", "gold"))

    account = {"account": mariadb.proxied_account}
    with asked(mariadb, **account, table=table, by={"id": "id"}, columns=["name"], cache=None) as ask:
        assert found(ask({"id": 1})) == [{"name": "Ann"}]
        mariadb.proxy.cut()
        (error,) = ask({"id": 1})
        assert isinstance(error, TransientError)
        assert found(ask({"id": 1})) == [{"name": "Ann"}]
