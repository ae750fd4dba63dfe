"""sql, of a step `enrich`: the row, or rows, of a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast

from pydantic import Field, model_validator
from typing_extensions import Self

from flowspec.errors import MissingDependencyError, RecordError
from flowspec.expressions import Expression
from flowspec.lookups import Finder, Key, Lookup, evaluated
from sources.sql.account import SqlAccountField
from sources.sql.query_rows import QueryRows
from sources.sql.values import Decimals

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["RowKey", "SqlLookup"]


class RowKey(NamedTuple):
    """The values of the columns that say which rows are meant."""

    values: tuple[Any, ...]
    kinds: tuple[type, ...]
    """1, 1.0 and true are equal, and not the same to a database."""


class SqlLookup(Lookup):
    """Look up in a SQL database: the row whose columns have the values of the record.

    What is found is an object with the columns of the row, as `query-rows` has them; with `many`, a list of such. All
    keys of a batch are asked for in one SELECT, or as many as the database allows in one. A key that has a null in it
    has no row.
    """

    connector: Annotated[Literal["sql"], Field(description="A SQL database.", examples=["sql"])] = "sql"
    account: SqlAccountField
    table: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Table or view, as the database spells it; its schema stands before a dot.",
            examples=["customers", "crm.customers"],
        ),
    ] = None
    query: Annotated[
        str | None,
        Field(
            description="A SELECT instead of a table, which has `IN :keys` in it, and the columns of `by` among those "
            "of its rows. The values are compared as they are: of a text with a text, of a number with a number.",
            examples=[
                "SELECT c.id, c.name, r.label FROM customers c JOIN regions r USING (region) WHERE c.id IN :keys"
            ],
        ),
    ] = None
    by: Annotated[
        dict[str, Expression],
        Field(
            min_length=1,
            description="The columns that say which row it is, each with the expression for its value.",
            examples=[{"id": "customer_id"}, {"shop": "shop", "number": "int(order_number)"}],
        ),
    ]
    columns: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            description="The columns of the table that are read; by default all of them.",
            examples=[["name", "tier"]],
        ),
    ] = None
    many: Annotated[
        bool,
        Field(
            description="Whether a key may have several rows, and a list of them is found; otherwise its records fail.",
            examples=[True],
        ),
    ] = False
    decimals: Annotated[
        Decimals,
        Field(
            description="How exact numbers (NUMERIC, DECIMAL) are in the body; a text keeps all digits.",
            examples=["text"],
        ),
    ] = "number"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.table is None) == (self.query is None):
            msg = "give either a table or a query"
        elif self.table is not None and not all(self.table.split(".", 1)):
            msg = f"{self.table!r} is no name of a table; write one like 'customers' or 'crm.customers'"
        elif self.query is not None and self.columns is not None:
            msg = "'columns' are those of a table; a query says itself what it selects"
        elif self.query is not None and QueryRows.parameters(self.query) != ["keys"]:
            msg = "the query needs the keys once, as 'WHERE id IN :keys', and has no other parameters"
        else:
            return self
        raise ValueError(msg)

    @property
    def what(self) -> str:
        """What is read."""
        return "the query" if self.table is None else f"table {self.table}"

    @property
    def nothing(self) -> Any:
        """With `many` there are no rows; else there is null."""
        return [] if self.many else None

    def keys(self, records: Sequence[Record]) -> Sequence[Key | RecordError]:
        """The values of the columns."""
        fields = Expression.mapping(self.by)
        return [
            made if isinstance(made, RecordError) else _key(tuple(made.values())) for made in evaluated(fields, records)
        ]

    def text(self, key: Key) -> str:
        """The values of the columns, with commas between them."""
        return ", ".join(str(value) for value in cast("RowKey", key).values)

    def absence(self, key: Key) -> str:
        """Table and key."""
        return f"{self.what} has no row with {self.shown(key)}"

    def shown(self, key: Key) -> str:
        """A key, for people."""
        pairs = zip(self.by, cast("RowKey", key).values, strict=True)
        return " and ".join(f"{column} = {repr(value)[:60]}" for column, value in pairs)

    def check(self) -> str:
        """See that the rows may be selected: the server compiles the statement, and finds nothing."""
        try:
            from sources.sql.looking_up import check_lookup
        except ImportError:
            raise MissingDependencyError(connector="sql", extra="sql") from None
        return check_lookup(self)

    def open(self) -> Finder:
        """What connects with the first key."""
        try:
            from sources.sql.looking_up import RowFinder
        except ImportError:
            raise MissingDependencyError(connector="sql", extra="sql") from None
        return RowFinder(self)


def _key(values: tuple[Any, ...]) -> Key | RecordError:
    for value in values:
        if value is None:
            return None
        if isinstance(value, (dict, list, set)):
            return RecordError(f"a key is a text, number, boolean or date, not {type(value).__name__}")
    return RowKey(values, tuple(map(type, values)))
