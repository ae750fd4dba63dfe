"""What a check says of a database, before anything is read."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowspec.errors import FatalError, FlowError, TransientError
from flowspec.records import Record
from sources.sql import QueryRows, checking
from sources.sql.account import SqlAccount
from tests.secrets import secret
from tests.servers.database import PASSWORD, Database, DatabaseServer
from tests.servers.postgresql import PostgresServer
from tests.servers.process import server_port

LIMITED = secret("Limited")
COLUMNS = "id integer PRIMARY KEY, name varchar(10), done integer"


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    server: DatabaseServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def limited(server: DatabaseServer) -> Iterator[dict[str, Any]]:
    """The account of a user who may do nothing."""
    user, known = ("limited", f"PASSWORD '{LIMITED}'"), ("limited@'%'", f"IDENTIFIED BY '{LIMITED}'")
    name, how = user if isinstance(server, PostgresServer) else known
    server.execute(f"CREATE USER {name} {how}")
    yield {**server.account, "username": "limited", "password": LIMITED}
    if isinstance(server, PostgresServer):
        server.execute("DROP OWNED BY limited")
    server.execute(f"DROP USER {name}")


def rows(account: dict[str, Any], **fields: Any) -> QueryRows:
    return QueryRows.model_validate({"account": account, **fields})


def refusal(check: Callable[[], str], kind: type[FlowError] = FatalError) -> str:
    """Why a check fails; never with the password in it."""
    with pytest.raises(kind) as caught:
        check()
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_a_right_account_says_what_it_found(database: Database) -> None:
    database.create_table(COLUMNS)
    account = SqlAccount(**database.account)
    said = account.check()
    assert said.split()[0] in ("PostgreSQL", "MariaDB", "SQLite")
    assert said.endswith(f" at {account.address}")
    assert PASSWORD not in said


def test_what_is_wrong_with_a_server_is_told_apart(server: DatabaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def account(**changed: Any) -> Callable[[], str]:
        return SqlAccount(**{**server.account, **changed}).check

    url, at = server.account["url"], str(server.port)
    assert "Name or service not known" in refusal(
        account(url=url.replace("127.0.0.1", "nowhere.invalid")), TransientError
    )
    assert "Connection refused" in refusal(account(url=url.replace(at, str(server_port()))), TransientError)
    assert "check the account's username and password" in refusal(account(password="wrong"))
    assert "check the database in the account's url" in refusal(account(url=f"{url}_missing"))
    tls = "sslmode=require" if isinstance(server, PostgresServer) else "ssl_verify_cert=true"
    assert "check the options for TLS" in refusal(account(url=f"{url}?{tls}"))
    monkeypatch.setattr(checking, "_PATIENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        said = refusal(account(url=url.replace(at, str(mute.getsockname()[1]))), TransientError)
    assert "timeout" in said or "timed out" in said


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing.sqlite"
    said = refusal(rows({"url": f"sqlite:///{path}"}, table="orders", cursor_column="id").check)
    assert "there is no such file" in said
    assert not path.exists()


def test_a_right_trigger_says_what_it_reads(database: Database) -> None:
    table, account = database.create_table(COLUMNS), database.account
    said = rows(account, table=table, cursor_column="name").check()
    assert said.endswith(f", {table} can be read, in the order of name, id")
    assert f"{table} can be read, in the order of id" in rows(account, table=table, cursor_column="id", since=3).check()
    query = f"SELECT id FROM {table} WHERE id >= :cursor"
    assert "the query can be read" in rows(account, query=query, cursor_column="id", since=3).check()
    marking = f"UPDATE {table} SET done = 1 WHERE id = :id"
    assert "marked by the consumed statement" in rows(account, table=table, consumed=marking).check()
    called = rows(account, table=table, consumed="CALL mark(:id)").check()
    assert "the consumed statement was not checked" in called


def test_what_is_wrong_with_a_trigger_is_said(database: Database) -> None:
    table, account = database.create_table(COLUMNS), database.account

    def said(**fields: Any) -> str:
        return refusal(rows(account, **fields).check)

    assert "there is no table" in said(table=f"{table}_missing", cursor_column="id")
    assert "no column 'idd'; did you mean 'id'?" in said(table=table, cursor_column="idd")
    assert "check the name of the column" in said(table=table, cursor_column="id", where="nil = 1")
    assert "syntax" in said(query=f"SELEC * FROM {table}", cursor_column="id")
    assert "check the name of the column" in said(table=table, consumed=f"UPDATE {table} SET dun = 1 WHERE id = :id")
    assert "no column 'idd'" in said(table=table, consumed=f"UPDATE {table} SET done = 1 WHERE id = :idd")


def test_what_is_not_permitted_is_said_and_nothing_is_done(server: DatabaseServer, limited: dict[str, Any]) -> None:
    table = server.create_table(COLUMNS)
    server.execute(f"INSERT INTO {table} VALUES (1, 'a', 0)")
    marking = f"UPDATE {table} SET done = 1 WHERE id = :id"
    assert "grant" in refusal(rows(limited, table=table, cursor_column="id").check)
    user = "limited" if isinstance(server, PostgresServer) else "limited@'%'"
    server.execute(f"GRANT SELECT ON {table} TO {user}")
    assert "can be read" in rows(limited, table=table, cursor_column="id").check()
    assert "grant" in refusal(rows(limited, table=table, consumed=marking).check)
    server.execute(f"GRANT UPDATE ON {table} TO {user}")
    assert "marked" in rows(limited, table=table, consumed=marking).check()
    assert server.execute(f"SELECT done FROM {table}") == [(0,)]


def test_a_lock_does_not_hold_a_check_up_for_ever(postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_ALL", 1)
    table = postgresql.create_table(COLUMNS)
    with postgresql.connect() as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        said = refusal(rows(postgresql.account, table=table, cursor_column="id").check, TransientError)
        other.rollback()
    assert "perhaps a lock is held" in said


def test_a_row_is_known_by_its_table_and_its_values_of_cursor_and_key() -> None:
    account = {"url": "sqlite:///shop.db"}
    row = Record(b"", {}, {"table": "orders", "cursor": {"changed": "2024", "id": 7}})
    assert rows(account, table="orders", cursor_column="changed").identity(row) == '["orders","2024",7]'
    queried = Record(b"", {}, {"table": None, "cursor": {"id": 7}})
    query = {"query": "SELECT * FROM orders", "cursor_column": "id"}
    assert rows(account, **query).identity(queried) is None, "nobody says that it is the only one"
    assert rows(account, **query, key_column="id").identity(queried) == "[null,7]"
    rounded = Record(b"", {}, {"table": "orders", "cursor": {"id": 7.5}})
    assert rows(account, table="orders", cursor_column="id").identity(rounded) is None
    marked = Record(b"", {}, {"table": "orders", "cursor": None})
    assert rows(account, table="orders", consumed="DELETE FROM orders WHERE id = :id").identity(marked) is None
