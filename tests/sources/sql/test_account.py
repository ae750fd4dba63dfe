"""The account of a database: its URL, its driver, and that its secrets stay secret."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from flowspec.errors import FatalError, MissingDependencyError
from sources.sql.account import SqlAccount
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer

SECRET = "s3cr3t!"


def account(url: str, **fields: Any) -> SqlAccount:
    return SqlAccount.model_validate({"url": url, **fields})


@pytest.mark.parametrize(
    ("url", "driver", "address"),
    [
        ("postgresql://db/shop", "psycopg", "postgresql://db/shop"),
        ("postgres://db:5433/shop?sslmode=require", "psycopg", "postgresql://db:5433/shop"),
        (f"postgresql+psycopg://me:{SECRET}@[::1]:1/shop", "psycopg", "postgresql://[::1]:1/shop"),
        ("mysql://db/shop", "pymysql", "mysql://db/shop"),
        ("mariadb://db/shop?charset=utf8mb4", "pymysql", "mariadb://db/shop"),
        (f"mariadb+pymysql://db/?password={SECRET}", "pymysql", "mariadb://db/"),
        ("sqlite:///shop.db", "pysqlite", "sqlite:///shop.db"),
        ("sqlite:////data/a@b.db", "pysqlite", "sqlite:////data/a@b.db"),
    ],
)
def test_a_url_means_a_driver_and_is_shown_without_what_may_be_secret(url: str, driver: str, address: str) -> None:
    found = account(url)
    assert found.engine().dialect.driver == driver
    assert found.address == address
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    "url", ["", "shop.db", "sqlite://", "sqlite:///:memory:", "sqlite:///?cache=shared", f"//me:{SECRET}@db/shop"]
)
def test_what_is_no_url_is_a_mistake_of_the_spec(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        account(url)
    assert "sqlite:///shop.db" in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:p@ss/{SECRET}@db/shop",
        f"postgresql://me:p@{SECRET}@db/shop",
        f"postgresql://me@db:{SECRET}/shop",
    ],
)
def test_a_password_that_is_not_encoded_is_not_quoted(url: str) -> None:
    with pytest.raises(FatalError, match="written as %40") as raised:
        account(url).engine()
    assert SECRET not in str(raised.value)


def test_an_unknown_dialect_and_a_missing_driver_are_named() -> None:
    with pytest.raises(FatalError, match="no dialect 'postgrsql'"):
        account("postgrsql://db/shop").engine()
    with pytest.raises(FatalError, match="the driver of 'mssql\\+pyodbc' is not installed: pip install pyodbc"):
        account("mssql+pyodbc://db/shop").engine()


def test_a_file_has_no_password() -> None:
    with pytest.raises(FatalError, match="SQLite has no host, username or password") as raised:
        account("sqlite:///shop.db", password=SECRET).engine()
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("postgresql://db/shop", "psycopg", "postgresql"),
        ("mysql://db/shop", "pymysql", "mysql"),
        ("mariadb://db/shop", "sqlalchemy", "mysql"),
        ("sqlite:///shop.db", "sqlalchemy", "sql"),
    ],
)
def test_the_extra_that_is_missing_is_named(
    url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.engine", None)
    with pytest.raises(MissingDependencyError, match=f"trigger-flows\\[{extra}\\]"):
        account(url).engine()


def test_fields_come_before_what_the_url_has(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    for server in (postgresql, mariadb):
        url = server.account["url"].replace("://", "://nobody:wrong@")
        with closing(account(url, username="tests", password=server.account["password"]).engine().connect()):
            pass


def test_options_are_those_of_the_driver(postgresql: PostgresServer) -> None:
    found = SqlAccount.model_validate({**postgresql.account, "options": {"application_name": "mine"}})
    with closing(found.engine("ours").connect()) as connection:
        assert connection.exec_driver_sql("SHOW application_name").scalar_one() == "mine"
    assert "mine" not in repr(found)


def test_a_server_that_vanishes_is_noticed(postgresql: PostgresServer) -> None:
    for options, milliseconds in (({}, 60_000), ({"tcp_user_timeout": 5_000}, 5_000)):
        found = SqlAccount.model_validate({**postgresql.account, "options": options})
        with closing(found.engine().connect()) as connection:
            driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
            with socket.socket(fileno=os.dup(driver.fileno())) as connected:
                assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds
                assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_sessions_of_mariadb_are_in_utc_and_strict(mariadb: MariadbServer) -> None:
    table = mariadb.create_table("name varchar(3)")
    before = mariadb.execute("SELECT @@GLOBAL.sql_mode, @@GLOBAL.time_zone")[0]
    mariadb.execute("SET GLOBAL sql_mode = '', time_zone = '+05:00'")
    try:
        with closing(SqlAccount.model_validate(mariadb.account).engine().connect()) as connection:
            zone = connection.exec_driver_sql("SELECT TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(), NOW())").scalar_one()
            assert zone == 0
            with pytest.raises(Exception, match="Data too long"):
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ('long')")
    finally:
        mariadb.execute("SET GLOBAL sql_mode = %s, time_zone = %s", before)


def test_a_spec_is_read_without_sqlalchemy() -> None:
    code = (
        "import sys, sinks.sql, sources.sql.account as a; "
        "a.SqlAccount.model_validate({'url': 'sqlite:///x.db'}); assert 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
