"""A connection of a poller: made when it is needed, given up after an error, interrupted from another thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from flowspec.errors import FatalError, RecordError
from sources.sql.errors import classify

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from sources.sql.account import SqlAccount

__all__ = ["Session"]

_CANCEL_WITHIN = 5.0
"""Seconds that asking a server to cancel may take."""


class Session:
    """One connection, for one thread."""

    def __init__(self, account: SqlAccount, name: str, *, autocommit: bool, patience: int | None = None) -> None:
        """Nothing is connected yet.

        Args:
            account: The database.
            name: What the database calls the connection, where it can.
            autocommit: Whether each statement is a transaction of its own.
            patience: Seconds to wait for the server at most, where that is less than usual.
        """
        self._account = account
        self._name = name
        self._autocommit = autocommit
        self._patience = patience
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._working = threading.Lock()
        """Held while a statement may be under way."""

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection to work with; its errors are those of a flow.

        Raises:
            TransientError: the database cannot do it now, or was told to cancel.
            FatalError: it never will.
        """
        self._engine = self._engine or self._account.engine(self._name, patience=self._patience)
        try:
            with self._working:
                connection = self._connection or self._connect(self._engine)
                self._connection = connection
                yield connection
        except (SQLAlchemyError, OSError, TypeError, ValueError) as error:
            self.close()
            meaning = classify(error, self._account.address)
            # A query has no values that could be to blame.
            raise FatalError(str(meaning)) if isinstance(meaning, RecordError) else meaning from error

    def cancel(self) -> None:
        """Have the statement that is under way, if there is one, fail soon."""
        engine, connection = self._engine, self._connection
        if engine is None or connection is None or not self._working.locked():
            return
        with suppress(Exception):
            driver: Any = connection.connection.driver_connection
            if engine.dialect.driver == "pysqlite":
                driver.interrupt()
            elif engine.dialect.driver == "psycopg":
                driver.cancel_safe(timeout=_CANCEL_WITHIN)
            elif engine.dialect.name in ("mariadb", "mysql"):
                with engine.connect() as other:
                    other.exec_driver_sql(f"KILL QUERY {int(driver.thread_id())}")

    def close(self) -> None:
        """Let go of the connection; the next use makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _connect(self, engine: Engine) -> Connection:
        connection = engine.connect()
        return connection.execution_options(isolation_level="AUTOCOMMIT") if self._autocommit else connection
