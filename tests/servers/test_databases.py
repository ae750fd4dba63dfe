"""Database servers can be killed, keep what is committed, and are reached through a proxy."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from tests.servers import mariadb as mariadb_server
from tests.servers import postgresql as postgresql_server
from tests.servers.database import PASSWORD, USER, Database, DatabaseServer
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer
from tests.servers.process import listens

LOST = (psycopg.OperationalError, pymysql.err.OperationalError)


@pytest.fixture(params=["own_postgresql", "own_mariadb"])
def own_server(request: pytest.FixtureRequest) -> DatabaseServer:
    """A server that the test may kill."""
    server: DatabaseServer = request.getfixturevalue(request.param)
    return server


def test_each_test_has_tables_of_its_own(database: Database) -> None:
    one, other = (database.create_table("id integer primary key, name text") for _ in range(2))

    database.execute(f"INSERT INTO {one} VALUES (1, 'a'), (2, 'ü😀')")

    assert database.execute(f"SELECT id, name FROM {one} ORDER BY id") == [(1, "a"), (2, "ü😀")]
    assert database.execute(f"SELECT * FROM {other}") == []


def test_killed_and_started_again_it_has_all_that_is_committed(own_server: DatabaseServer) -> None:
    table = own_server.create_table("id integer primary key")
    own_server.execute(f"INSERT INTO {table} VALUES (1)")
    with closing(own_server.connect()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"INSERT INTO {table} VALUES (2)")

        own_server.kill()

        assert not listens(own_server.port)
        with pytest.raises(LOST):
            cursor.execute("SELECT 1")
    own_server.start()
    assert own_server.execute(f"SELECT id FROM {table}") == [(1,)]


def test_killed_in_the_middle_of_a_statement_it_starts_again(own_postgresql: PostgresServer) -> None:
    with closing(own_postgresql.connect()) as connection:
        # Only sent: the server is killed while it runs.
        connection.pgconn.send_query(b"SELECT pg_sleep(600)")
        own_postgresql.kill()
    own_postgresql.start()
    assert own_postgresql.execute("SELECT 1") == [(1,)]


def test_a_client_comes_through_the_proxy(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    clients: list[tuple[DatabaseServer, Any]] = [
        (postgresql, psycopg.connect(_through(postgresql))),
        (mariadb, pymysql.connect(host="127.0.0.1", port=mariadb.proxy.port, user=USER, password=PASSWORD)),
    ]
    for server, client in clients:
        with closing(client), closing(client.cursor()) as cursor:
            cursor.execute("SELECT 1")
            server.proxy.cut()
            with pytest.raises(LOST):
                cursor.execute("SELECT 1")


def _through(server: DatabaseServer) -> str:
    return f"host=127.0.0.1 port={server.proxy.port} user={USER} password={PASSWORD} dbname=postgres"


def test_only_the_right_password_is_let_in(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=postgresql.port, user="tests", password="wrong", dbname="postgres")
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(host="127.0.0.1", port=mariadb.port, user="tests", password="wrong")


def test_where_they_are_not_installed_a_test_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(postgresql_server, "_programs", lambda: None)
    monkeypatch.setattr(mariadb_server, "_PATH", os.devnull)

    for server, package in (
        (postgresql_server.postgresql, "postgresql"),
        (mariadb_server.mariadb, "mariadb-server"),
    ):
        with pytest.raises(pytest.skip.Exception, match=f"apt-get install --no-install-recommends {package}"):
            server(tmp_path).__enter__()
