"""sql / query-rows: the spec model of the trigger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import Field, model_validator
from typing_extensions import Self

from flowspec.errors import MissingDependencyError
from flowspec.fields import Duration
from flowspec.polling import PollingTrigger
from sources.sql.account import SqlAccountField

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.polling import Poller
    from flowspec.records import Record

__all__ = ["QueryRows"]

_PARAMETER = re.compile(r"(?<![:\\\w]):(\w+)")


class QueryRows(PollingTrigger):
    """Query Rows: starts the flow for each new row of a table or query of a database.

    At-least-once. Rows are read in the order of a cursor: columns whose values only grow from row to row, such as a
    serial number or the time of the last change (a row that is changed then comes again). Rows that are committed late,
    behind others that came after them, are found for `lag` seconds. Or, without a cursor, a row that is delivered is
    marked by a statement, `consumed`.

    The body has the columns: times and dates are texts of ISO 8601, binary values are base64, JSON columns are what
    they hold. `meta` has `table` (null for a query) and `cursor`, the row's values of the columns that order it.
    """

    connector: Annotated[
        Literal["sql"], Field(description="Databases: PostgreSQL, MariaDB, MySQL, SQLite.", examples=["sql"])
    ] = "sql"
    event: Annotated[Literal["query-rows"], Field(description="Each new row.", examples=["query-rows"])] = "query-rows"
    account: SqlAccountField
    table: Annotated[
        str | None, Field(description="The table or view, with its schema if need be.", examples=["shop.orders"])
    ] = None
    query: Annotated[
        str | None,
        Field(
            description="A SELECT instead of a table, whose columns are the cursor's as well. `:cursor`, if it is in "
            "there, is the value of the first cursor column from which on rows are looked for, which may help the "
            "database: compare with `>=`, unless no two rows have the same value.",
            examples=["SELECT o.*, c.email FROM orders o JOIN customers c ON c.id = o.customer_id"],
        ),
    ] = None
    where: Annotated[
        str | None,
        Field(description="A condition of SQL that the rows have to meet.", examples=["status = 'paid'"]),
    ] = None
    cursor_column: Annotated[
        str | list[str],
        Field(
            description="The column whose values grow, or several that do so together. Rows where it is NULL are not "
            "read.",
            examples=["id", "updated_at"],
        ),
    ] = Field(default_factory=list)
    key_column: Annotated[
        str | list[str],
        Field(
            description="The column, or columns, that tell rows apart whose cursor is equal; by default the primary "
            "key of the table.",
            examples=["id"],
        ),
    ] = Field(default_factory=list)
    lag: Annotated[
        Duration,
        Field(
            ge=0,
            le=86_400,
            description="For how long a row may be committed behind others that have a higher cursor. What was read "
            "meanwhile is remembered. A transaction that is open for longer hides its rows.",
            examples=["30s"],
        ),
    ] = 5.0
    consumed: Annotated[
        str | None,
        Field(
            description="A statement, instead of a cursor, that is run for each delivered row, so that it is not found "
            "again; its parameters are columns of the row. It may be run twice for a row.",
            examples=["UPDATE orders SET exported = true WHERE id = :id"],
        ),
    ] = None
    decimals: Annotated[
        Literal["number", "text"],
        Field(
            description="How exact numbers (NUMERIC, DECIMAL) are in a body; a text keeps all digits.",
            examples=["text"],
        ),
    ] = "number"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.table is None) == (self.query is None):
            msg = "give either a table or a query"
        elif self.consumed is None and not self.cursor_column:
            msg = "give a cursor_column, by which new rows are known; or a consumed statement"
        elif self.consumed is not None and self.cursor_column:
            msg = "give either a cursor_column or a consumed statement: what is consumed is found only once"
        elif self.consumed is not None and not _PARAMETER.search(self.consumed):
            msg = "the consumed statement needs a column of the row as a parameter, like ':id'"
        elif self.query is not None and "cursor" in self.parameters(self.query) and self.since in ("now", "beginning"):
            msg = "a query with :cursor needs a value of the cursor to begin with, as 'since'"
        else:
            return self
        raise ValueError(msg)

    @property
    def cursor_columns(self) -> list[str]:
        """The columns of the cursor."""
        return [self.cursor_column] if isinstance(self.cursor_column, str) else self.cursor_column

    @property
    def key_columns(self) -> list[str]:
        """The columns that are named as key."""
        return [self.key_column] if isinstance(self.key_column, str) else self.key_column

    @staticmethod
    def parameters(statement: str) -> list[str]:
        """The parameters of a statement, as `:name`; what follows a second colon is a cast."""
        return _PARAMETER.findall(statement)

    def cursor_basis(self) -> dict[str, Any]:
        """Table and columns; a query or a condition may be changed without harm."""
        if self.consumed is not None:
            return {"consumed": self.parameters(self.consumed)}
        return {"table": self.table, "cursor_column": self.cursor_columns, "key_column": self.key_columns}

    def poller(self, since: Any, context: WorkerContext) -> Poller:
        """What makes the queries."""
        if self.consumed is not None:
            from sources.sql.consuming import ConsumingPoller

            return ConsumingPoller(self, context)
        from sources.sql.keyset import KeysetPoller

        return KeysetPoller(self, since, context)

    def identity(self, record: Record) -> str | None:
        """Table, and the row's values of cursor and key; None where these may not be exact, or not tell rows apart.

        A query has to name its `key_column`; what is marked as consumed may come back unmarked.
        """
        cursor = record.meta.get("cursor")
        if not cursor or (self.table is None and not self.key_column):
            return None
        # One that was rounded may be that of several rows.
        if any(isinstance(value, float) for value in cursor.values()):
            return None
        return orjson.dumps([self.table, *cursor.values()]).decode()

    def check(self) -> str:
        """See that the rows may be selected, and what marks them may be run: the server compiles the statements."""
        try:
            from sources.sql.checking import check_rows
        except ImportError:
            raise MissingDependencyError(connector="sql", extra="sql") from None
        return check_rows(self)
