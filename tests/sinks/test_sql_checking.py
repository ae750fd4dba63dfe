"""What a check says of a table, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowspec.errors import FatalError
from sinks.sql import WriteRows
from tests.secrets import secret
from tests.servers.database import PASSWORD, Database, DatabaseServer
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile
from tests.sources.files.polling import without_rights

# A column that nobody may write, and one that has to have a value.
LIMITED = secret("Limited")
COLUMNS = "id integer PRIMARY KEY, name varchar(10) NOT NULL, next integer GENERATED ALWAYS AS (id + 1) STORED"
NAMED = {"columns": {"id": "id", "name": "name"}}


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    server: DatabaseServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def limited(server: DatabaseServer) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the account of a user who may do nothing."""
    user, known = ("writer", f"PASSWORD '{LIMITED}'"), ("writer@'%'", f"IDENTIFIED BY '{LIMITED}'")
    name, how = user if isinstance(server, PostgresServer) else known
    server.execute(f"CREATE USER {name} {how}")
    yield name, {**server.account, "username": "writer", "password": LIMITED}
    if isinstance(server, PostgresServer):
        server.execute("DROP OWNED BY writer")
    server.execute(f"DROP USER {name}")


def check(account: dict[str, Any], table: str, **fields: Any) -> str:
    return WriteRows.model_validate({"account": account, "table": table, **fields}).check()


def refusal(account: dict[str, Any], table: str, **fields: Any) -> str:
    with pytest.raises(FatalError) as caught:
        check(account, table, **fields)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("fields", [{}, {"mode": "upsert"}, {"on_conflict": "ignore"}])
@pytest.mark.parametrize("named", [{}, NAMED])
def test_a_table_that_can_be_written_is_not_written(
    database: Database, fields: dict[str, Any], named: dict[str, Any]
) -> None:
    table = database.create_table(COLUMNS)
    said = check(database.account, table, **fields, **named)
    assert f"rows may be inserted into {table}" in said
    assert ("whether rows may be replaced was not checked" in said) == ("mode" in fields and not named)
    assert database.execute(f"SELECT count(*) FROM {table}") == [(0,)]


def test_what_is_wrong_is_said(database: Database) -> None:
    table, account = database.create_table(COLUMNS), database.account
    assert f"did you mean {table!r}?" in refusal(account, f"{table}x")
    assert "no column 'nam'; did you mean 'name'?" in refusal(account, table, columns={"id": "id", "nam": "name"})
    assert "unique index of exactly" in refusal(account, table, mode="upsert", key=["name"])


def test_what_is_not_permitted_is_said(server: DatabaseServer, limited: tuple[str, dict[str, Any]]) -> None:
    table, (user, account) = server.create_table(COLUMNS), limited
    server.execute(f"GRANT SELECT ON {table} TO {user}")
    assert "grant" in refusal(account, table)
    server.execute(f"GRANT INSERT ON {table} TO {user}")
    assert "rows may be inserted" in check(account, table)
    assert "grant" in refusal(account, table, mode="upsert", **NAMED)
    server.execute(f"GRANT UPDATE ON {table} TO {user}")
    assert "rows may be inserted" in check(account, table, mode="upsert", **NAMED)


def test_a_file_that_must_not_be_written_is_said(public: Path) -> None:
    database = SqliteFile(public / "shop.sqlite")
    table = database.create_table(COLUMNS)
    assert "rows may be inserted" in check(database.account, table)
    database.path.chmod(0o444)
    public.chmod(0o555)
    with without_rights():
        assert "let the user of this process write" in refusal(database.account, table)
    public.chmod(0o755)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing.sqlite"
    assert "there is no such file" in refusal({"url": f"sqlite:///{path}"}, "orders")
    assert not path.exists()
