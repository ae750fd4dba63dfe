"""The poller of rows that are marked when they are delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import bindparam, text
from sqlalchemy.types import NullType

from flowspec.polling import Page
from flowspec.records import Record
from sources.sql.account import SqlAccount
from sources.sql.cursors import pack, unpack
from sources.sql.keys import place_of
from sources.sql.session import Session
from sources.sql.statements import Statements
from sources.sql.values import Plain

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.polling import Cursor
    from sources.sql.query_rows import QueryRows

__all__ = ["ConsumingPoller"]


class ConsumingPoller:
    """Reads what is there, and has each row marked when it is delivered; the next poll waits for that.

    Its cursor has the rows of a page that are to be marked: after a crash that is made up for.
    """

    settles_before_next = True

    def __init__(self, trigger: QueryRows, context: WorkerContext) -> None:
        self._trigger = trigger
        account, name = SqlAccount.of(trigger.account), f"trigger-flows {context.flow}"
        self._session = Session(account, name, autocommit=True)
        self._marking = Session(account, name, autocommit=False)
        self._parameters = list(dict.fromkeys(trigger.parameters(str(trigger.consumed))))
        self.what = trigger.query or str(trigger.table)

    def poll(self, cursor: Cursor | None, most: int) -> Page:
        """The next rows that are not marked."""
        with self._session.connected() as connection:
            statements = Statements(self._trigger, connection.dialect, self._trigger.key_columns)
            result = connection.execute(statements.some(most))
            names = list(result.keys())
            rows = result.fetchall()
        places = [place_of(parameter, names) for parameter in self._parameters]
        values = [pack([row[place] for place in places]) for row in rows]
        bodies = Plain(names, self._trigger.decimals).bodies(rows)
        meta = {"table": self._trigger.table, "cursor": None}
        return Page(
            [Record(orjson.dumps(body), body, meta) for body in bodies],
            {"consumed": values},
            more=len(rows) == most,
            part=lambda count: {"consumed": values[:count]},
        )

    def settle(self, cursor: Cursor) -> None:
        """Mark the rows of a page, all of them or none."""
        rows = [dict(zip(self._parameters, unpack(values), strict=True)) for values in cursor["consumed"]]
        if not rows:
            return
        statement = text(str(self._trigger.consumed)).bindparams(
            *[bindparam(name, type_=NullType()) for name in self._parameters]
        )
        with self._marking.connected() as connection, connection.begin():
            connection.execute(statement, rows)

    def cancel(self) -> None:
        """Have the query that is under way fail."""
        self._session.cancel()

    def close(self) -> None:
        """Disconnect."""
        self._session.close()
        self._marking.close()
