"""Rows of databases: an SQLite file, and servers of Debian's packages."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sources.testing import TriggerConformance
from tests.conformance.rows import MariadbRows, PostgresRows, SqliteRows
from tests.conformance.waivers import POLLS
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile


class QueryRows(TriggerConformance):
    trigger = "sql.query-rows"
    waivers: ClassVar = {
        **POLLS,
        3: "a row has columns, and no metadata beside them",
        4: "a row has columns, and no metadata beside them",
        26: "what is in a table can be read",
    }


class TestRowsOfSqlite(QueryRows):
    system = "SQLite"
    harness_type = SqliteRows
    waivers: ClassVar = {**QueryRows.waivers, 23: "a file of this machine has no connection that could be cut"}

    @pytest.fixture
    def server(self, sqlite: SqliteFile) -> SqliteFile:
        return sqlite


class TestRowsOfPostgresql(QueryRows):
    system = "PostgreSQL"
    harness_type = PostgresRows

    @pytest.fixture
    def server(self, postgresql: PostgresServer) -> PostgresServer:
        return postgresql


class TestRowsOfMariadb(QueryRows):
    system = "MariaDB"
    harness_type = MariadbRows

    @pytest.fixture
    def server(self, mariadb: MariadbServer) -> MariadbServer:
        return mariadb
