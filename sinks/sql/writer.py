"""Writing batches, and finding the rows that the database refuses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Failure, Record
from sinks.sql.packets import largest_packet, size_of
from sinks.sql.rows import Row, RowTable
from sources.sql.account import SqlAccount
from sources.sql.errors import classify

if TYPE_CHECKING:
    from sinks.sql.action import WriteRows

__all__ = ["RowWriter"]

_TRUSTED = 60.0
"""Seconds that a connection may be idle: firewalls and servers cut those that are for longer, and say nothing."""


class RowWriter:
    """Writes records as rows, each batch in one transaction."""

    def __init__(self, action: WriteRows, name: str) -> None:
        self._action = action
        account = SqlAccount.of(action.account)
        # A driver that is not installed is said before anything is read.
        self._engine = account.engine(name)
        self._address = account.address
        self._connection: Connection | None = None
        self._table: RowTable | None = None
        self._largest: int | None = None
        self._used = 0.0

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Write records, and commit them."""
        if self._connection is not None and time.monotonic() - self._used > _TRUSTED:
            self._disconnect()
        known = self._table
        try:
            return self._write_all(records)
        except FatalError:
            # Somebody may have changed the table since it was looked at.
            if known is None or self._table is not known:
                raise
            self._table = None
            return self._write_all(records)
        finally:
            self._used = time.monotonic()

    def close(self) -> None:
        """End the connection."""
        self._disconnect()

    def _write_all(self, records: Sequence[Record]) -> list[Failure]:
        known = self._table
        rows, failures = self._looked_at().rows(records)
        if failures and known is not None:
            # It may have a column more by now.
            self._table = None
            rows, failures = self._looked_at().rows(records)
        return failures + self._write(rows)

    def _write(self, rows: Sequence[Row]) -> list[Failure]:
        """Write rows in one transaction; those of which one is refused in two, and so on."""
        if not rows:
            return []
        try:
            self._commit(rows)
        except TransientError as error:
            return [Failure(row.record, self._too_large(row) or error) for row in rows]
        except RecordError as error:
            if len(rows) == 1:
                return _failed(rows, error)
            half = len(rows) // 2
            failures = self._write(rows[:half])
            if failures and isinstance(failures[-1].error, TransientError):
                return failures + _failed(rows[half:], failures[-1].error)
            return failures + self._write(rows[half:])
        return []

    def _too_large(self, row: Row) -> RecordError | None:
        size = size_of(row.values.values())
        if self._largest is None or size <= self._largest:
            return None
        return RecordError(f"the row has {size:,} bytes; the database's max_allowed_packet is {self._largest:,}")

    def _commit(self, rows: Sequence[Row]) -> None:
        try:
            table, connection = self._looked_at(), self._connected()
            with connection.begin():
                for statement, values in table.statements(rows):
                    connection.execute(statement, values)
        except (FatalError, TransientError):
            raise
        except Exception as error:
            raise self._meaning(error) from error

    def _looked_at(self) -> RowTable:
        if self._table is None:
            connection = self._connected()
            try:
                with connection.begin():
                    self._table = RowTable(self._action, connection, self._address)
            except FatalError:
                raise
            except Exception as error:
                raise self._without_rows(error) from error
        return self._table

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                self._connection = self._engine.connect()
                self._largest = largest_packet(self._connection)
                self._connection.rollback()
            except Exception as error:
                raise self._without_rows(error) from error
            self._table = None
        return self._connection

    def _without_rows(self, error: Exception) -> TransientError | FatalError:
        """What an error means that has nothing to do with the values of a record."""
        meaning = self._meaning(error)
        return FatalError(f"{self._address}: {meaning}") if isinstance(meaning, RecordError) else meaning

    def _meaning(self, error: Exception) -> TransientError | FatalError | RecordError:
        meaning = classify(error, self._address)
        if isinstance(meaning, TransientError):
            self._disconnect()
        return meaning

    def _disconnect(self) -> None:
        connection, self._connection, self._table = self._connection, None, None
        if connection is not None:
            # It may be broken.
            with suppress(Exception):
                connection.close()


def _failed(rows: Sequence[Row], error: Exception) -> list[Failure]:
    return [Failure(row.record, error) for row in rows]
