"""A table of a database, as it is, and values for its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, Table, inspect
from sqlalchemy.exc import NoSuchTableError

from flowspec.errors import FatalError, RecordError
from flowspec.expressions.errors import nearest

if TYPE_CHECKING:
    from sources.sql.values import Taker

__all__ = ["reflected", "taken"]

_UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What making a value for a column raises, beside `RecordError`."""


def reflected(name: str, connection: Connection, address: str) -> Table:
    """The table or view of a name, which may have a schema before a dot, with its columns.

    Raises:
        FatalError: there is none in the database at `address`.
    """
    schema, _, table = name.rpartition(".")
    try:
        return Table(table, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)
    except NoSuchTableError:
        near = nearest(table, inspect(connection).get_table_names(schema or None))
        hint = f"did you mean {near!r}?" if near else "a flow does not create one"
        msg = f"{address}: there is no table {name}; {hint}"
        raise FatalError(msg) from None


def taken(name: str, column: Taker, value: Any) -> Any:
    """What the driver takes for a value of the column called `name`.

    Raises:
        RecordError: the column does not take it.
    """
    try:
        return column.take(value)
    except RecordError as error:
        msg = f"column {name!r} {error}"
        raise RecordError(msg) from error
    except _UNFIT:
        msg = f"column {name!r} takes {column.what}, not {str(value)[:60]!r}"
        raise RecordError(msg) from None
