"""sql / write-rows: records as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flowspec.connectors import Action, WorkerContext
from flowspec.errors import MissingDependencyError
from flowspec.expressions import Expression
from sources.sql.account import SqlAccountField

if TYPE_CHECKING:
    from sinks.sql.writer import RowWriter

__all__ = ["WriteRows"]


class WriteRows(Action):
    """Write Rows: each record becomes a row of a table, inserted, or in place of the one with the same key.

    At-least-once: a record is delivered when the transaction with its row is committed; a batch is one transaction.
    After a crash the last batch may be written again: with `upsert`, or where conflicts are ignored, that changes
    nothing. A row that the database refuses is a dead letter: the batch is halved until it is found, and all others are
    written.
    """

    connector: Annotated[Literal["sql"], Field(description="A SQL database.", examples=["sql"])] = "sql"
    action: Annotated[Literal["write-rows"], Field(description="Write into a table.", examples=["write-rows"])] = (
        "write-rows"
    )
    account: SqlAccountField
    table: Annotated[
        str,
        Field(
            min_length=1,
            description="Table, which must exist, as the database spells it; its schema stands before a dot.",
            examples=["orders", "shop.orders"],
        ),
    ]
    columns: Annotated[
        dict[str, Expression] | None,
        Field(
            min_length=1,
            description="The columns that are written, each with the expression for its value. By default they are the "
            "fields of the body: one that is missing takes the column's default.",
            examples=[{"id": "order_id", "cents": "int(total * 100)", "details": "body"}],
        ),
    ] = None
    ignore_unknown: Annotated[
        bool,
        Field(
            description="Whether fields of the body that are no columns are left out; otherwise the record is a dead "
            "letter.",
            examples=[True],
        ),
    ] = False
    mode: Annotated[
        Literal["insert", "upsert"],
        Field(
            description="`insert` adds a row. `upsert` has the record's values replace those of the row with the same "
            "key, if there is one: of PostgreSQL, SQLite, MariaDB and MySQL.",
            examples=["upsert"],
        ),
    ] = "insert"
    key: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            description="For `upsert`, the columns that say which row it is; the table has a unique index of exactly "
            "these. By default its primary key.",
            examples=[["order_id"]],
        ),
    ] = None
    on_conflict: Annotated[
        Literal["fail", "ignore"],
        Field(
            description="For `insert`, what is done about a row whose key the table already has: `fail` makes its "
            "record a dead letter, `ignore` leaves the table as it is.",
            examples=["ignore"],
        ),
    ] = "fail"

    @field_validator("table")
    @classmethod
    def _has_a_name(cls, value: str) -> str:
        if not all(value.split(".", 1)):
            msg = f"{value!r} is no name of a table; write one like 'orders' or 'shop.orders'"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> WriteRows:
        if self.key is not None and self.mode != "upsert":
            msg = "'key' is for mode 'upsert'"
            raise ValueError(msg)
        if self.on_conflict != "fail" and self.mode != "insert":
            msg = "'on_conflict' is for mode 'insert'; 'upsert' replaces"
            raise ValueError(msg)
        if self.ignore_unknown and self.columns is not None:
            msg = "'ignore_unknown' is about fields of the body, but 'columns' says what is written: give one of them"
            raise ValueError(msg)
        if self.columns is not None and (absent := set(self.key or ()) - set(self.columns)):
            msg = f"'key' has what 'columns' does not have: {', '.join(sorted(absent))}"
            raise ValueError(msg)
        return self

    def open(self, context: WorkerContext) -> RowWriter:
        """A writer that connects with the first batch."""
        try:
            from sinks.sql.writer import RowWriter
        except ImportError:
            raise MissingDependencyError(connector="sql", extra="sql") from None
        return RowWriter(self, f"{context.flow}: write-rows, worker {context.worker}")

    def check(self) -> str:
        """See that the table has the columns that are named, and that rows may be inserted into it."""
        try:
            from sinks.sql.checking import check_table
        except ImportError:
            raise MissingDependencyError(connector="sql", extra="sql") from None
        return check_table(self)
