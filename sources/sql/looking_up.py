"""Looking rows up by their keys, many in one statement."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from sqlalchemy import ColumnElement, Connection, Executable, bindparam, literal_column, select, text, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType, TupleType

from flowspec.errors import RecordError
from flowspec.lookups import MISSING
from sources.sql.account import SqlAccount
from sources.sql.checking import checking, found
from sources.sql.errors import classify
from sources.sql.keys import place_of
from sources.sql.session import Session
from sources.sql.tables import reflected, taken
from sources.sql.values import Plain, taker, to_plain

if TYPE_CHECKING:
    from flowspec.lookups import Key
    from sources.sql.lookup import RowKey, SqlLookup
    from sources.sql.values import Taker

__all__ = ["RowFinder", "check_lookup"]

_Values: TypeAlias = "tuple[Any, ...]"
_Rows: TypeAlias = "list[dict[str, Any]]"

_MOST_PARAMETERS = {"postgresql": 30_000, "mariadb": 30_000, "mysql": 30_000, "sqlite": 30_000}
"""Of one statement, by dialect; the protocols of PostgreSQL and SQLite know up to 65,535 and 32,766."""
_CAUTIOUSLY = 900
"""What every database takes."""
_TRUSTED = 60.0
"""Seconds that a connection may be idle: firewalls and servers cut those that are for longer, and say nothing."""
_KEYS = "keys"


class RowFinder:
    """Looks rows up, on a connection of its own."""

    def __init__(self, lookup: SqlLookup) -> None:
        self._lookup = lookup
        account = SqlAccount.of(lookup.account)
        # A driver that is not installed is said before anything is read.
        account.engine()
        self._address = account.address
        self._session = Session(account, "trigger-flows enrich", autocommit=True)
        self._select: _Select | None = None
        self._used = 0.0

    def find(self, keys: Sequence[Key]) -> Sequence[Any]:
        """The row of each key, or its rows."""
        if time.monotonic() - self._used > _TRUSTED:
            self._session.close()
        with self._session.connected() as connection:
            if self._select is None:
                self._select = _Select(self._lookup, connection)
            selected = self._select
            asked = [selected.taken(cast("RowKey", key)) for key in keys]
            fit = dict.fromkeys(values for values in asked if not isinstance(values, RecordError))
            rows: dict[_Values, _Rows | RecordError] = {}
            for some in _parts(list(fit), selected.most):
                rows |= self._rows(selected, connection, some)
        self._used = time.monotonic()
        return [
            values if isinstance(values, RecordError) else self._found(key, rows[values])
            for key, values in zip(keys, asked, strict=True)
        ]

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    def _found(self, key: Key, rows: _Rows | RecordError) -> Any:
        lookup = self._lookup
        if isinstance(rows, RecordError):
            return rows
        if not rows:
            return MISSING
        if not lookup.many and len(rows) > 1:
            return RecordError(
                f"{lookup.what} has {len(rows):,} rows with {lookup.shown(key)}; "
                "make the key say which, or set 'many' for a list of them"
            )
        return rows if lookup.many else rows[0]

    def _rows(
        self, selected: _Select, connection: Connection, keys: Sequence[_Values]
    ) -> dict[_Values, _Rows | RecordError]:
        """The rows of each key; of those that the database refuses, why, found by halves."""
        try:
            bodies = selected.bodies(connection, keys)
        except SQLAlchemyError as error:
            meaning = classify(error, self._address)
            if not isinstance(meaning, RecordError):
                raise
            if len(keys) == 1:
                return {keys[0]: meaning}
            half = len(keys) // 2
            return self._rows(selected, connection, keys[:half]) | self._rows(selected, connection, keys[half:])
        if len(keys) == 1:
            return {keys[0]: [selected.shown(body) for body in bodies]}
        return self._shared_out(selected, connection, keys, bodies)

    def _shared_out(
        self, selected: _Select, connection: Connection, keys: Sequence[_Values], bodies: _Rows
    ) -> dict[_Values, _Rows | RecordError]:
        of: dict[_Values, _Rows] = defaultdict(list)
        for body in bodies:
            of[selected.key_in(body)].append(selected.shown(body))
        rows: dict[_Values, _Rows | RecordError] = {}
        for key in keys:
            rows[key] = of.pop(selected.plain(key), [])
        if of:
            # Of the rows that are left the database says that they have a key that was asked for, to which they are
            # not equal: it does not look at case, say. Only it can tell which is whose.
            for key in keys:
                if self._lookup.many or not rows[key]:
                    rows |= self._rows(selected, connection, [key])
        return rows


class _Select:
    """The statement of a lookup, for the table as it was when it was looked at."""

    def __init__(self, lookup: SqlLookup, connection: Connection) -> None:
        """Look at it.

        Raises:
            FatalError: there is no such table, or it has no such column.
        """
        self._lookup = lookup
        self._by = tuple(lookup.by)
        self._takers: list[Taker] | None = None
        self.most = max(1, _MOST_PARAMETERS.get(connection.dialect.name, _CAUTIOUSLY) // len(self._by))
        """The most keys of one statement."""
        self._hidden: set[str] = set()
        kind = TupleType(*(NullType() for _ in self._by)) if len(self._by) > 1 else NullType()
        keys = bindparam(_KEYS, expanding=True, type_=kind)
        if lookup.table is None:
            self._statement: Executable = text(str(lookup.query)).bindparams(keys)
        else:
            self._statement = self._of_table(lookup.table, connection)

    def _of_table(self, name: str, connection: Connection) -> Executable:
        table = reflected(name, connection, SqlAccount.of(self._lookup.account).address)
        names = [column.name for column in table.columns]
        shown = list(dict.fromkeys(self._lookup.columns or names))
        for column in (*self._by, *shown):
            place_of(column, names)
        self._hidden = set(self._by) - set(shown)
        by = [table.columns[column] for column in self._by]
        # SQLite has no decimals, and makes the best of their texts.
        self._takers = [taker(column.type, decimals=connection.dialect.name != "sqlite") for column in by]
        for key, each in zip(by, self._takers, strict=True):
            if each.is_ready:
                key.type = NullType()
        quote = connection.dialect.identifier_preparer.quote
        # As text: values come as the driver has them, the same as from `query-rows`.
        selected: list[ColumnElement[Any]] = [
            literal_column(quote(column)) for column in (*shown, *sorted(self._hidden))
        ]
        is_meant = (by[0] if len(by) == 1 else tuple_(*by)).in_(bindparam(_KEYS, expanding=True))
        return select(*selected).select_from(table).where(is_meant)

    def taken(self, key: RowKey) -> _Values | RecordError:
        """The values of a key as the database takes them."""
        if self._takers is None:
            return key.values
        try:
            return tuple(map(taken, self._by, self._takers, key.values))
        except RecordError as error:
            return error

    def bodies(self, connection: Connection, keys: Sequence[_Values]) -> _Rows:
        """The rows that have one of the keys, with all that was selected."""
        values = [key[0] for key in keys] if len(self._by) == 1 else list(keys)
        result = connection.execute(self._statement, {_KEYS: values})
        names = list(result.keys())
        for column in self._by:
            place_of(column, names)
        return Plain(names, self._lookup.decimals).bodies(result.all())

    def key_in(self, body: dict[str, Any]) -> _Values:
        """The key that a row has."""
        return tuple(body[column] for column in self._by)

    def plain(self, key: _Values) -> _Values:
        """A key as a row would have it."""
        return tuple(to_plain(value, self._lookup.decimals) for value in key)

    def shown(self, body: dict[str, Any]) -> dict[str, Any]:
        """What is found of a row."""
        return {name: value for name, value in body.items() if name not in self._hidden} if self._hidden else body


def check_lookup(lookup: SqlLookup) -> str:
    """See that rows may be selected by their keys: the statement is run with nothing but nulls."""
    account = SqlAccount.of(lookup.account)
    with checking(account) as connection:
        selected = _Select(lookup, connection)
        selected.bodies(connection, [(None,) * len(lookup.by)])
        return f"{found(account, connection)}, {lookup.what} can be read by {', '.join(lookup.by)}"


def _parts(keys: Sequence[_Values], most: int) -> Iterator[Sequence[_Values]]:
    return (keys[start : start + most] for start in range(0, len(keys), most))
