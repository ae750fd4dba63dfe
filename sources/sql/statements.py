"""The queries of a cursor over a table or query: what is behind it, in its order, a page at a time.

Always by the values of the ordering columns, never by OFFSET: rows that come or go meanwhile move nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, literal_column, or_, select, text, true
from sqlalchemy.types import NullType

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from sources.sql.query_rows import QueryRows

__all__ = ["BEGINNING", "Key", "Start", "Statements"]

Key = tuple[Any, ...]
"""A row's values of the columns that order it."""


@dataclass(frozen=True)
class Start:
    """A place among the rows: behind a row, behind a value of the first ordering column, or before all of them."""

    key: Key | None = None
    value: Any = None


BEGINNING = Start()


class Statements:
    """Makes the queries of one trigger."""

    def __init__(self, trigger: QueryRows, dialect: Dialect, columns: Sequence[str]) -> None:
        """`columns` order the rows, and tell each from all others."""
        quote = dialect.identifier_preparer.quote
        if trigger.table is not None:
            self._source = text(".".join(quote(part) for part in trigger.table.split(".")))
        else:
            # A line for itself: the query may end with a comment.
            self._source = text(f"(\n{str(trigger.query).rstrip().rstrip(';')}\n) AS rows_of_query")
        self._columns: list[ColumnElement[Any]] = [literal_column(quote(column)) for column in columns]
        self._where = None if trigger.where is None else text(f"(\n{trigger.where}\n)")

    def after(self, start: Start, most: int) -> Select[Any]:
        """The next rows behind a place."""
        return self._rows(self._behind(start)).order_by(*self._columns).limit(most)

    def some(self, most: int) -> Select[Any]:
        """Rows, whatever their keys are; in the order of the columns, if there are any."""
        return self._filtered(select(literal_column("*")), true()).order_by(*self._columns).limit(most)

    def last_keys(self, most: int) -> Select[Any]:
        """The keys of the last rows, the last one first."""
        return self._keys(self._present()).order_by(*[column.desc() for column in self._columns]).limit(most)

    def keys_between(self, start: Start, high: Key) -> Select[Any]:
        """The keys of the rows behind a place, up to and with `high`."""
        up_to_high = or_(self._beyond(operator.lt, high, "high"), and_(*self._equal(high, "high")))
        return self._keys(and_(self._behind(start), up_to_high))

    def having(self, keys: Sequence[Key]) -> Select[Any]:
        """The rows that have these keys."""
        conditions = or_(*[and_(*self._equal(key, f"key_{number}")) for number, key in enumerate(keys)])
        return self._rows(conditions).order_by(*self._columns)

    def _rows(self, condition: ColumnElement[bool]) -> Select[Any]:
        return self._filtered(select(literal_column("*")), condition)

    def _keys(self, condition: ColumnElement[bool]) -> Select[Any]:
        return self._filtered(select(*self._columns), condition)

    def _filtered(self, selected: Select[Any], condition: ColumnElement[bool]) -> Select[Any]:
        selected = selected.select_from(self._source).where(condition)
        return selected if self._where is None else selected.where(self._where)

    def _present(self) -> ColumnElement[bool]:
        """Whether the ordering columns have values: where NULLs are sorted differs from database to database."""
        return and_(*[column.is_not(None) for column in self._columns])

    def _behind(self, start: Start) -> ColumnElement[bool]:
        if start.key is not None:
            return self._beyond(operator.gt, start.key, "after")
        if start.value is None:
            return self._present()
        return and_(self._columns[0] > _value("since", start.value), self._present())

    def _equal(self, key: Key, name: str) -> list[ColumnElement[bool]]:
        return [column == _value(f"{name}_{n}", key[n]) for n, column in enumerate(self._columns)]

    def _beyond(self, beyond: Callable[[Any, Any], Any], key: Key, name: str) -> ColumnElement[bool]:
        """Whether the first of the columns that differs from `key` is beyond it."""
        equal = self._equal(key, name)
        strictly = [beyond(column, _value(f"{name}_{n}", key[n])) for n, column in enumerate(self._columns)]
        alternatives = or_(*[and_(*equal[:n], each) for n, each in enumerate(strictly)])
        if len(equal) == 1:
            return alternatives
        # Said twice, for databases that find the way into an index by a plain comparison only.
        return and_(or_(strictly[0], equal[0]), alternatives)


def _value(name: str, value: Any) -> ColumnElement[Any]:
    # Without a type of its own: the database compares it as what the column is.
    return bindparam(name, value, type_=NullType())
