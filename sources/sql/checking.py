"""What can be known of a database before anything is read or written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.types import NullType

from flowspec.polling.watchdog import within
from sources.sql.account import SqlAccount
from sources.sql.keys import ordering_columns, place_of
from sources.sql.session import Session
from sources.sql.statements import BEGINNING, Start, Statements

if TYPE_CHECKING:
    from sources.sql.query_rows import QueryRows

__all__ = ["EXPLAINING", "check_rows", "checking", "found"]

_PATIENCE = 4
"""Seconds for a connection, and for each answer."""
_ALL = 8
"""Seconds for all of it, at the end of which a statement is cancelled."""
_NAMES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite"}
EXPLAINING = frozenset(_NAMES)
"""The dialects whose EXPLAIN compiles a statement, and sees whether it is permitted, and does nothing."""
_CHANGES = re.compile(r"\s*(?:UPDATE|DELETE|INSERT)\b", re.IGNORECASE)


@contextmanager
def checking(account: SqlAccount) -> Iterator[Connection]:
    """A connection to look at a database with, for some seconds; its errors are those of a flow."""
    session = Session(account, "trigger-flows check", autocommit=True, patience=_PATIENCE)
    late = f"{account.address}: no answer within {_ALL} s; perhaps a lock is held there"
    with closing(session), within(_ALL, session.cancel, lambda: late), session.connected() as connection:
        yield connection


def found(account: SqlAccount, connection: Connection) -> str:
    """What answers, and where."""
    dialect = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    version = ".".join(str(part) for part in dialect.server_version_info or ())
    return f"{_NAMES.get(name, name)} {version} at {account.address}"


def check_rows(trigger: QueryRows) -> str:
    """See that the rows of a trigger may be selected, and what marks them is a statement that may be run."""
    account = SqlAccount.of(trigger.account)
    with checking(account) as connection:
        what = "the query" if trigger.table is None else trigger.table
        said = [found(account, connection), f"{what} can be read"]
        if trigger.consumed is None:
            said.append(f"in the order of {', '.join(_check_keyset(trigger, connection))}")
        else:
            said.append(_check_consumed(trigger, connection))
        return ", ".join(said)


def _check_keyset(trigger: QueryRows, connection: Connection) -> list[str]:
    columns, _ = ordering_columns(trigger, connection)
    has_value = trigger.since not in ("now", "beginning")
    start = Start(value=trigger.since) if has_value else BEGINNING
    # The server compiles it, and sees whether it is permitted, without reading a row.
    query = Statements(trigger, connection.dialect, columns).after(start, 0)
    asks = trigger.query is not None and "cursor" in trigger.parameters(trigger.query)
    names = list(connection.execute(query, {"cursor": start.value} if asks else {}).keys())
    for column in columns:
        place_of(column, names)
    return columns


def _check_consumed(trigger: QueryRows, connection: Connection) -> str:
    statement = str(trigger.consumed)
    query = Statements(trigger, connection.dialect, trigger.key_columns).some(0)
    names = list(connection.execute(query).keys())
    parameters = dict.fromkeys(trigger.parameters(statement))
    for parameter in parameters:
        place_of(parameter, names)
    if connection.dialect.name not in EXPLAINING or not _CHANGES.match(statement):
        return "and the consumed statement was not checked"
    explained = text(f"EXPLAIN {statement}").bindparams(
        *[bindparam(name, None, type_=NullType()) for name in parameters]
    )
    connection.execute(explained)
    return "and marked by the consumed statement"
