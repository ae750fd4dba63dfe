"""The statements that insert, or replace, the rows of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Insert, Table, inspect
from sqlalchemy.dialects import mysql, postgresql, sqlite

from flowspec.errors import FatalError

if TYPE_CHECKING:
    from sinks.sql.action import WriteRows

__all__ = ["Statements"]

_MYSQL = ("mariadb", "mysql")
_ON_CONFLICT: dict[str, type[postgresql.Insert] | type[sqlite.Insert]] = {
    "postgresql": postgresql.Insert,
    "sqlite": sqlite.Insert,
}


class Statements:
    """Makes the statement for rows that have values for the same columns."""

    def __init__(self, action: WriteRows, table: Table, connection: Connection) -> None:
        """Looks at what the database can do, and at the table's indexes.

        Raises:
            FatalError: it cannot replace rows, or not by this key.
        """
        self._table = table
        self._dialect = connection.dialect.name
        self._upserts = action.mode == "upsert"
        self._ignores = action.on_conflict == "ignore"
        self.key: tuple[str, ...] = ()
        """The columns that say which row it is, for an upsert."""
        if (self._upserts or self._ignores) and self._dialect not in (*_MYSQL, *_ON_CONFLICT):
            what = "mode 'upsert'" if self._upserts else "on_conflict 'ignore'"
            msg = f"{what} is for PostgreSQL, SQLite, MariaDB and MySQL, not for {self._dialect}: use mode 'insert'"
            raise FatalError(msg)
        if self._upserts:
            self.key = tuple(action.key or (column.name for column in table.primary_key))
            self._check_key(connection)

    def insert(self, columns: Collection[str]) -> Insert:
        """The statement that writes these columns of one row, which the driver repeats for each."""
        if not (self._upserts or self._ignores):
            return self._table.insert().inline()
        others = [column for column in columns if column not in self.key] if self._upserts else []
        if self._dialect in _MYSQL:
            return self._on_duplicate_key(others)
        insert = _ON_CONFLICT[self._dialect](self._table).inline()
        if not others:
            return insert.on_conflict_do_nothing(index_elements=self.key or None)
        return insert.on_conflict_do_update(
            index_elements=self.key, set_={column: insert.excluded[column] for column in others}
        )

    def _on_duplicate_key(self, others: Sequence[str]) -> Insert:
        insert = mysql.insert(self._table).inline()
        if others:
            return insert.on_duplicate_key_update({column: insert.inserted[column] for column in others})
        # INSERT IGNORE would also ignore what has nothing to do with keys.
        same = next(iter(self._table.columns))
        return insert.on_duplicate_key_update({same.name: same})

    def _check_key(self, connection: Connection) -> None:
        table = self._table.fullname
        if not self.key:
            msg = f"table {table} has no primary key: give 'key', the columns that say which row it is"
            raise FatalError(msg)
        # The others refuse a statement for which there is no index; these would take any other index for it.
        if self._dialect in _MYSQL and set(self.key) not in _unique(self._table, connection):
            msg = f"table {table} has no unique index of exactly the columns of 'key': {', '.join(self.key)}"
            raise FatalError(msg)


def _unique(table: Table, connection: Connection) -> list[set[Any]]:
    indexes = inspect(connection).get_indexes(table.name, table.schema)
    primary = {column.name for column in table.primary_key}
    return [primary, *(set(index["column_names"]) for index in indexes if index["unique"])]
