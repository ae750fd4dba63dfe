"""What the suite must know of tables to have a trigger read their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, ClassVar

from sources.testing import PollingHarness
from tests.conformance.proxied import Proxied
from tests.servers.database import Database, DatabaseServer

__all__ = ["MariadbRows", "PostgresRows", "SqliteRows"]

_FIELDS = ("id", "fail", "pad", "key", "big")


class Rows(PollingHarness):
    """A table that grows; its client is the driver of the database."""

    event = "sql.query-rows"
    many = 20_000
    keys = ("the table",)
    number: ClassVar[str]
    text = "text"
    quote = '"'
    placeholder = "%s"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names = [f"{self.quote}{name}{self.quote}" for name in _FIELDS]
        fields = ", ".join(f"{name} {self.text}" for name in self._names[1:])
        self._table = database.create_table(f"{self.number}, id bigint, {fields}")
        marks = ", ".join([self.placeholder] * len(_FIELDS))
        self._insert = f"INSERT INTO {self._table} ({', '.join(self._names)}) VALUES ({marks})"

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "sql",
            "event": "query-rows",
            "account": self._database.account,
            "table": self._table,
            "cursor_column": "number",
            "interval": "20ms",
            "lag": "1s",
            **fields,
        }

    def missing(self) -> dict[str, Any]:
        return self.trigger(table=f"{self._table}_missing")

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        bodies = [json.loads(payload) for payload in payloads]
        rows = [tuple(body.get(field) for field in _FIELDS) for body in bodies]
        with closing(self._database.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.executemany(self._insert, rows)
            connection.commit()

    def left(self) -> int:
        cursor = self.saved_cursor()
        (last,) = (cursor and cursor["last"]) or (0,)
        ((count,),) = self._database.execute(f"SELECT count(*) FROM {self._table} WHERE number > {last}")
        return int(count)


class SqliteRows(Rows):
    """A table of a file."""

    number = "number INTEGER PRIMARY KEY"
    placeholder = "?"


class _ServedRows(Proxied, Rows):
    """A table of a server, and the proxy before it."""

    def __init__(self, database: DatabaseServer) -> None:
        super().__init__(database)
        self._proxied_account = database.proxied_account
        self._proxy = database.proxy

    def close(self) -> None:
        self.resume()
        self.up()
        self._database.execute(f"DROP TABLE {self._table}")

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self.trigger(account=self._proxied_account, **fields)


class PostgresRows(_ServedRows):
    """A table of PostgreSQL."""

    number = "number bigserial PRIMARY KEY"


class MariadbRows(_ServedRows):
    """A table of MariaDB."""

    number = "number bigint AUTO_INCREMENT PRIMARY KEY"
    text = "longtext"
    quote = "`"
