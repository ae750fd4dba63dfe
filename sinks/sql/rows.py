"""The table that is written to, and records as its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Insert
from sqlalchemy.types import NullType

from flowspec.errors import FatalError, RecordError
from flowspec.expressions import Expression
from flowspec.expressions.errors import nearest
from flowspec.records import Failure, Record
from sinks.sql.statements import Statements
from sources.sql.tables import reflected, taken
from sources.sql.values import taker

if TYPE_CHECKING:
    from sinks.sql.action import WriteRows

__all__ = ["Row", "RowTable"]

_Shape: TypeAlias = tuple[str, ...]


class Row(NamedTuple):
    """A record on its way into a table."""

    record: Record
    values: dict[str, Any]


class RowTable:
    """A table as it was when it was looked at."""

    def __init__(self, action: WriteRows, connection: Connection, address: str) -> None:
        """Look at it.

        Raises:
            FatalError: it does not exist, has not the columns that are named, or cannot be written to like that.
        """
        self._action = action
        self._table = reflected(action.table, connection, address)
        # SQLite has no decimals, and makes the best of their texts.
        decimals = connection.dialect.name != "sqlite"
        self._takers = {column.name: taker(column.type, decimals=decimals) for column in self._table.columns}
        self._fields = None if action.columns is None else Expression.mapping(action.columns)
        for column in (*(action.columns or ()), *(action.key or ())):
            if column not in self._takers:
                msg = f"{address}: {self._unknown(column)}"
                raise FatalError(msg)
        for column in self._table.columns:
            # Whether a key may be left out is up to the database: SQLAlchemy would warn of it.
            column.nullable = True
            if self._takers[column.name].is_ready:
                column.type = NullType()
        self._statements = Statements(action, self._table, connection)
        self.name = connection.dialect.identifier_preparer.format_table(self._table)
        """As a statement has it."""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that say which row it is, for an upsert."""
        return self._statements.key

    def insert(self, columns: Collection[str]) -> Insert:
        """The statement that writes these columns of one row."""
        return self._statements.insert(columns)

    def rows(self, records: Sequence[Record]) -> tuple[list[Row], list[Failure]]:
        """A row for each record, and the records that cannot have one."""
        rows: list[Row] = []
        failures: list[Failure] = []
        for record, body in self._bodies(records):
            try:
                if isinstance(body, RecordError):
                    raise body
                rows.append(Row(record, self._row(body)))
            except RecordError as error:
                failures.append(Failure(record, error))
        return rows, failures

    def statements(self, rows: Iterable[Row]) -> Iterator[tuple[Insert, list[dict[str, Any]]]]:
        """The statements that write rows, in their order where it matters, each with the values of many rows."""
        key = self._statements.key
        together: dict[_Shape, list[dict[str, Any]]] = {}
        shape_of: dict[tuple[Any, ...], _Shape] = {}
        for _, values in rows:
            shape = tuple(values)
            if key:
                # Two rows of one key stay in order: in one statement, or else one statement after the other.
                known = shape_of.setdefault(tuple(values[column] for column in key), shape)
                if known != shape:
                    yield from self._inserts(together)
                    together.clear()
                    shape_of.clear()
                    shape_of[tuple(values[column] for column in key)] = shape
            together.setdefault(shape, []).append(values)
        yield from self._inserts(together)

    def _inserts(self, together: dict[_Shape, list[dict[str, Any]]]) -> Iterator[tuple[Insert, list[dict[str, Any]]]]:
        for shape, several in together.items():
            yield self._statements.insert(shape), several

    def _bodies(self, records: Sequence[Record]) -> Iterable[tuple[Record, Any]]:
        """What each record has for the columns, or why it has nothing."""
        if self._fields is None:
            return ((record, record.body) for record in records)
        try:
            return zip(records, self._fields.values(records), strict=True)
        except RecordError:
            return ((record, self._alone(record)) for record in records)

    def _alone(self, record: Record) -> Any:
        assert self._fields is not None  # noqa: S101 - only called with columns
        try:
            return self._fields.value(record)
        except RecordError as error:
            return error

    def _row(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            msg = f"the body is not an object whose fields are columns, but {type(body).__name__}: give 'columns'"
            raise RecordError(msg)
        row: dict[str, Any] = {}
        for name, value in body.items():
            column = self._takers.get(name)
            if column is None:
                if self._action.ignore_unknown:
                    continue
                raise RecordError(self._unknown(name))
            row[name] = None if value is None else taken(name, column, value)
        for name in self._statements.key:
            if row.get(name) is None:
                msg = f"column {name!r} of 'key' has no value"
                raise RecordError(msg)
        if not row:
            msg = "none of its fields is a column"
            raise RecordError(msg)
        return row

    def _unknown(self, name: str) -> str:
        near = nearest(name, self._takers)
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(self._takers)}"
        return f"table {self._action.table} has no column {name!r}; {hint}"
