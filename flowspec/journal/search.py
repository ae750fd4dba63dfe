"""Reading a journal: what happened to a record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from operator import contains
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import orjson

from flowspec.errors import FatalError
from flowspec.journal.batches import unpacked
from flowspec.journal.privacy import Masks, clean
from flowspec.journal.store import OUTCOMES, SEGMENT, Counted, Outcome, journal_path, version_problem

__all__ = ["STATUSES", "Execution", "Gap", "JournalReader", "Search", "Status"]

Status: TypeAlias = Literal["delivered", "filtered", "failed", "dead"]

STATUSES: dict[Status, tuple[Outcome, ...]] = {
    "delivered": ("delivered",),
    "filtered": ("filtered",),
    "failed": ("retried", "skipped"),
    "dead": ("dead",),
}
"""What a record is said to be, of what became of it."""

_BUSY = 5.0
"""Seconds to wait for a file that is just being made, or mended after a crash."""
_PAGE = 1000
_COLUMNS = (
    "id", "received_at", "ended_at", "outcome", "place", "attempts", "external_id", "origin", "batch", "worker",
    "error", "fields", "external_ids", "columns",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM executions WHERE"  # noqa: S608 - made of our own words
_BY_EXTERNAL_ID = f"""
id IN (
    SELECT id FROM executions WHERE id >> {SEGMENT} IN (
        WITH RECURSIVE segments(number) AS (
            SELECT (SELECT min(id) FROM executions) >> {SEGMENT} UNION ALL
            SELECT number + 1 FROM segments WHERE number < (SELECT max(id) FROM executions) >> {SEGMENT}
        ) SELECT number FROM segments
    ) AND external_id IN (?, ?)
    UNION ALL SELECT id FROM executions WHERE external_ids IS NOT NULL AND contains(external_ids, ?)
)
"""  # noqa: S608 - made of our own words
_WRITTEN_SINCE = """
id >= (SELECT first_id FROM minutes WHERE minute >= ? ORDER BY minute LIMIT 1) AND ended_at >= ?
"""


@dataclass(frozen=True, slots=True)
class Execution:
    """What happened to a record once: a redelivery is one more, and each sink has one of its own."""

    id: int
    """Grows with what is written; those of a batch have the same."""
    received_at: float | None
    """Seconds since the epoch; None where the journal was not told."""
    ended_at: float
    """When it was delivered, was filtered or failed."""
    outcome: Outcome
    place: str
    """Id of the step that failed or filtered it, or of the sink."""
    attempts: int
    external_id: str | None
    origin: str
    """What identifies the record, as `orders/0/17` of a topic, or else what its system says about it."""
    batch: int | None
    """The batch of its worker that it came in."""
    worker: int
    error: str | None
    fields: dict[str, Any] | None
    """What the settings keep of its body."""

    @property
    def status(self) -> Status:
        """What it is said to be."""
        return next(status for status, outcomes in STATUSES.items() if self.outcome in outcomes)

    @property
    def then(self) -> Literal["retry", "skip"] | None:
        """What became of one that failed and is no dead letter."""
        return "retry" if self.outcome == "retried" else "skip" if self.outcome == "skipped" else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Executions that are missing."""

    since: float
    until: float
    lost: int
    reason: str


@dataclass(frozen=True)
class Search:
    """Which executions are meant; all of them where nothing is said."""

    external_id: str | None = None
    status: Status | None = None
    since: float | None = None
    """Those that ended at that time or later, in seconds since the epoch."""

    def condition(self, masks: Masks) -> tuple[str, list[Any]]:
        """The same in SQL, with its parameters."""
        terms: list[str] = []
        values: list[Any] = []
        # A column with a sign before it is not looked up in an index: that of External IDs is the one to take.
        sign = "" if self.external_id is None else "+"
        if self.external_id is not None:
            terms.append(_BY_EXTERNAL_ID)
            wanted = clean(self.external_id)
            values += [wanted, masks.known(wanted), orjson.dumps(wanted)]
        if self.status is not None:
            numbers = [OUTCOMES.index(outcome) for outcome in STATUSES[self.status]]
            terms.append(f"{sign}outcome IN ({', '.join(map(str, numbers))})")
            if min(numbers) > 1:
                # Has SQLite see that its index of failures can be used.
                terms.append(f"{sign}outcome > 1")
        if self.since is not None:
            terms.append(_WRITTEN_SINCE)
            values += [self.since // 60, self.since]
        return " AND ".join(terms) or "TRUE", values

    def of_row(self, row: tuple[Any, ...]) -> list[Execution]:
        """What is meant of the executions of a row that was found."""
        named = dict(zip(_COLUMNS, row, strict=True))
        external_ids, columns = named.pop("external_ids"), named.pop("columns")
        named["outcome"] = OUTCOMES[named["outcome"]]
        if external_ids is None:
            fields = None if named["fields"] is None else orjson.loads(named["fields"])
            return [Execution(**{**named, "origin": _origin(orjson.loads(named["origin"])), "fields": fields})]
        wanted = None if self.external_id is None else clean(self.external_id)
        return [
            Execution(
                **{
                    **named,
                    "external_id": external_id,
                    "received_at": received_at or None,
                    "batch": batch,
                    "origin": _origin(origin),
                }
            )
            for external_id, received_at, batch, *origin in unpacked(external_ids, columns)
            if wanted is None or external_id == wanted
        ]


class JournalReader:
    """Reads the journal of a flow, while others write it or where nobody may write.

    Each call reads what is there at that moment, and holds nobody up.
    """

    def __init__(self, flow: str, state_dir: Path) -> None:
        self.path = journal_path(flow, state_dir)
        self._masks = Masks(self.path.parent)

    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self.path.exists() and bool(self._rows("PRAGMA user_version")[0][0])

    def level(self) -> str:
        """The level of the last run."""
        return str(self._rows("SELECT level FROM journal")[0][0])

    def latest(self, search: Search, most: int) -> tuple[list[Execution], int]:
        """The latest executions, oldest first, and the id after which none was written yet."""
        condition, values = search.condition(self._masks)
        with self._connection() as connection:
            connection.execute("BEGIN")
            last = connection.execute("SELECT ifnull(max(id), 0) FROM executions").fetchone()[0]
            rows = connection.execute(_latest(condition), (*values, most))
            newest_first = chain.from_iterable(reversed(search.of_row(row)) for row in rows)
            found = list(islice(newest_first, most))[::-1]
        # Executions are written some at a time, by several workers.
        return sorted(found, key=lambda each: (each.ended_at, each.id)), int(last)

    def after(self, last: int, search: Search) -> tuple[list[Execution], int]:
        """The next executions that were written after an id, in the order of that, and the id to go on after."""
        condition, values = search.condition(self._masks)
        with self._connection() as connection:
            connection.execute("BEGIN")
            newest = connection.execute("SELECT ifnull(max(id), 0) FROM executions").fetchone()[0]
            found: list[Execution] = []
            for row in connection.execute(f"{_SELECT} id > ? AND {condition} ORDER BY id", (last, *values)):
                found += search.of_row(row)
                if len(found) >= _PAGE:
                    return found, found[-1].id
        return found, max(last, newest)

    def counted(self, since: float | None) -> tuple[float, Counted] | None:
        """What was counted from a time on, and from which minute on that is, in seconds since the epoch."""
        sums = "sum(received), sum(delivered), sum(filtered), sum(failed), sum(dead_letters), sum(retried)"
        ((minute, *counts),) = self._rows(
            f"SELECT min(minute), {sums} FROM counts WHERE minute >= ?",  # noqa: S608 - made of our own words
            (since or 0) // 60,
        )
        return None if minute is None else (minute * 60.0, Counted(*counts))

    def gaps(self, since: float | None) -> list[Gap]:
        """When the journal could not be written from a time on, oldest first."""
        rows = self._rows(
            "SELECT begun_at, ended_at, lost, reason FROM gaps WHERE ended_at >= ? ORDER BY begun_at", since or 0
        )
        return [Gap(*row) for row in rows]

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._connection() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._open()) as connection:
                yield connection
        except sqlite3.Error as error:
            msg = f"the journal {self.path} cannot be read: {error}"
            raise FatalError(msg) from error

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened("mode=ro")
        except sqlite3.OperationalError:
            log = self.path.with_name(self.path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            # Where the directory cannot be written, the files that readers and writers share cannot be made. As long
            # as nobody writes they are not needed.
            return self._opened("immutable=1")

    def _opened(self, option: str) -> sqlite3.Connection:
        name = f"file:{quote(str(self.path.absolute()))}?{option}"
        connection = sqlite3.connect(name, _BUSY, isolation_level=None, uri=True)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except BaseException:
            connection.close()
            raise
        if problem := version_problem(version):
            connection.close()
            msg = f"the journal {self.path} {problem}"
            raise FatalError(msg)
        connection.create_function("contains", 2, contains, deterministic=True)
        return connection


def _latest(condition: str) -> str:
    return f"{_SELECT} {condition} ORDER BY id DESC LIMIT ?"


def _origin(parts: Sequence[Any]) -> str:
    return "/".join(map(str, parts))
