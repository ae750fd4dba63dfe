"""The columns that order the rows of a trigger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import inspect

from flowspec.errors import FatalError
from flowspec.expressions.errors import nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sources.sql.query_rows import QueryRows

__all__ = ["ordering_columns", "place_of"]


def ordering_columns(trigger: QueryRows, connection: Connection) -> tuple[list[str], bool]:
    """The columns of the cursor and then those of the key, and whether they tell each row from all others.

    Raises:
        FatalError: the table has no such column, or nothing tells its rows apart.
    """
    cursor, key = trigger.cursor_columns, trigger.key_columns
    if trigger.table is None:
        return _united(cursor, key), bool(key)
    schema, _, table = trigger.table.rpartition(".")
    inspector = inspect(connection)
    names = [column["name"] for column in inspector.get_columns(table, schema or None)]
    for column in [*cursor, *key]:
        place_of(column, names)
    if not key:
        unique = inspector.get_unique_constraints(table, schema or None)
        if any(set(found["column_names"]) <= set(cursor) for found in unique):
            return cursor, True
        key = inspector.get_pk_constraint(table, schema or None)["constrained_columns"]
    if not key:
        msg = (
            f"the table {trigger.table} has no primary key, by which rows with the same {', '.join(cursor)} could be "
            f"told apart; name a key_column that does"
        )
        raise FatalError(msg)
    return _united(cursor, key), True


def place_of(column: str, names: Sequence[str]) -> int:
    """The place of a column among those of the rows.

    Raises:
        FatalError: it is not among them.
    """
    if column in names:
        return names.index(column)
    near = nearest(column, names)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(names)}"
    msg = f"the rows have no column {column!r}; {hint}"
    raise FatalError(msg)


def _united(cursor: Sequence[str], key: Sequence[str]) -> list[str]:
    return [*cursor, *[column for column in key if column not in cursor]]
