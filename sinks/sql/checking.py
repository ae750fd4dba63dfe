"""What can be known of a table before anything is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sqlalchemy import Connection, null

from flowspec.errors import FatalError
from sinks.sql.rows import RowTable
from sources.sql.account import SqlAccount
from sources.sql.checking import EXPLAINING, checking, found

if TYPE_CHECKING:
    from sinks.sql.action import WriteRows

__all__ = ["check_table"]

_NOTHING = dict.fromkeys(("mariadb", "mysql"), "() VALUES ()")
"""A row without values, in the words of a dialect."""


def check_table(action: WriteRows) -> str:
    """See that rows may be inserted: the server compiles the statement, and is not asked to run it."""
    account = SqlAccount.of(action.account)
    with checking(account) as connection:
        said = found(account, connection)
        table = RowTable(action, connection, account.address)
        if connection.dialect.name not in EXPLAINING:
            return f"{said}, {action.table} is there; whether it may be written was not checked"
        _check_file(connection, account)
        connection.exec_driver_sql(f"EXPLAIN {_insert(action, table, connection)}")
        replaces = " (whether rows may be replaced was not checked)" if table.key and not action.columns else ""
        return f"{said}, rows may be inserted into {action.table}{replaces}"


def _insert(action: WriteRows, table: RowTable, connection: Connection) -> str:
    """A statement of the kind that writes rows, without values."""
    # Without `columns` the body has them: then only the table, or the key, is sure to be written.
    columns = tuple(action.columns or table.key)
    if columns:
        insert = table.insert(columns).values({column: null() for column in columns})
        return str(insert.compile(dialect=connection.dialect))
    return f"INSERT INTO {table.name} {_NOTHING.get(connection.dialect.name, 'DEFAULT VALUES')}"


def _check_file(connection: Connection, account: SqlAccount) -> None:
    """See that the file of SQLite may be written, of which EXPLAIN knows nothing."""
    if connection.dialect.name != "sqlite":
        return
    path = next(row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main")
    folder = os.path.dirname(path)  # noqa: PTH120 - as SQLite has it
    if path and not all(os.access(each, os.W_OK, effective_ids=True) for each in (path, folder)):
        msg = (
            f"{account.address}: the database cannot be written: let the user of this process write {path} and {folder}"
        )
        raise FatalError(msg)
