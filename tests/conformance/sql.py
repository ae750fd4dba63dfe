"""What the suite must know of databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from sinks.testing import Received, SinkHarness
from tests.conformance.proxied import Proxied
from tests.servers.database import Database, DatabaseServer
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["MariadbTable", "PostgresTable", "SqliteTable"]

_MOST_BYTES = 100_000


class SqlTable(SinkHarness):
    """A table whose rows have a number, the id of a record, and its body; and one whose ids are unique."""

    columns: ClassVar[str]
    payload: ClassVar[str] = "body"
    """How to ask for a body as it was sent."""
    too_large = 2 * _MOST_BYTES
    ordered: ClassVar[dict[str, Any]] = {}

    def __init__(self, database: Database) -> None:
        self._database = database
        self._table, self._keyed = (
            database.create_table(self.columns.format(most_bytes=_MOST_BYTES, unique=unique))
            for unique in ("", "UNIQUE")
        )

    def action(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "sql",
            "action": "write-rows",
            "account": self._database.account,
            "table": self._table,
            "columns": {"id": "id", "body": "body"},
            **fields,
        }

    def missing(self) -> dict[str, Any]:
        return self.action(table=f"{self._table}_missing")

    @property
    def upserting(self) -> dict[str, Any]:
        return {"table": self._keyed, "mode": "upsert", "key": ["id"]}

    def received(self) -> Sequence[Received]:
        rows = [
            row
            for table in (self._table, self._keyed)
            for row in self._database.execute(f"SELECT {self.payload} FROM {table} ORDER BY number")
        ]
        return [Received(text.encode()) for (text,) in rows]


class SqliteTable(SqlTable):
    """A table of a file."""

    columns = "number INTEGER PRIMARY KEY, id INTEGER {unique}, body JSON CHECK (length(body) < {most_bytes})"


class _ServedTable(Proxied, SqlTable):
    """A table of a server, and a proxy before it."""

    def __init__(self, database: DatabaseServer) -> None:
        super().__init__(database)
        self._proxy = TcpProxy("127.0.0.1", database.port)
        self._proxy.__enter__()
        at = f":{database.port}/", f":{self._proxy.port}/"
        self._proxied_account = {**database.account, "url": database.account["url"].replace(*at)}

    def close(self) -> None:
        self._proxy.__exit__(None, None, None)
        for table in (self._table, self._keyed):
            self._database.execute(f"DROP TABLE {table}")

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self.action(account=self._proxied_account, **fields)


class PostgresTable(_ServedTable):
    """A table of PostgreSQL."""

    payload = "body::text"
    columns = "number bigserial PRIMARY KEY, id bigint {unique}, body json CHECK (length(body::text) < {most_bytes})"


class MariadbTable(_ServedTable):
    """A table of MariaDB."""

    columns = (
        "number bigint AUTO_INCREMENT PRIMARY KEY, id bigint {unique}, body json CHECK (length(body) < {most_bytes})"
    )
