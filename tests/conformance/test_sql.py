"""Databases: an SQLite file, and servers of Debian's packages."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sinks.testing import SinkConformance
from tests.conformance.sql import MariadbTable, PostgresTable, SqliteTable
from tests.conformance.waivers import GATHERS
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile

_LOCAL = "a file of this machine has no connection that could be cut, or stall"
_NO_HEADERS = "a row has columns, and no metadata beside them"


class WriteRows(SinkConformance):
    action = "sql.write-rows"
    waivers: ClassVar = {3: _NO_HEADERS, 7: GATHERS, 8: GATHERS}


class TestWriteToSqlite(WriteRows):
    system = "SQLite"
    harness_type = SqliteTable
    waivers: ClassVar = {**WriteRows.waivers, 23: _LOCAL, 28: _LOCAL}

    @pytest.fixture
    def server(self, sqlite: SqliteFile) -> SqliteFile:
        return sqlite


class TestWriteToPostgresql(WriteRows):
    system = "PostgreSQL"
    harness_type = PostgresTable

    @pytest.fixture
    def server(self, postgresql: PostgresServer) -> PostgresServer:
        return postgresql


class TestWriteToMariadb(WriteRows):
    system = "MariaDB"
    harness_type = MariadbTable

    @pytest.fixture
    def server(self, mariadb: MariadbServer) -> MariadbServer:
        return mariadb
