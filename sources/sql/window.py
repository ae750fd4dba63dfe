"""What a cursor remembers to find rows that are committed late."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sources.sql.cursors import pack, pack_all, unpack
from sources.sql.statements import BEGINNING, Key, Start

__all__ = ["RowsCursor", "Window"]


@dataclass(frozen=True)
class RowsCursor:
    """A cursor over rows."""

    last: Key | None = None
    """The key of the row that was read last in order; None before the first."""
    settled: Start = BEGINNING
    """Up to here no row is committed late any more."""
    seen: Sequence[Sequence[Key]] = ()
    """The rows behind that which were read, in the pages in which they came."""

    def as_json(self) -> dict[str, Any]:
        """What is saved."""
        settled = self.settled
        return {
            "last": self.last and pack(self.last),
            "settled": settled.key and pack(settled.key),
            "since": settled.value,
            "seen": pack_all([key for page in self.seen for key in page]),
        }

    @classmethod
    def of(cls, saved: dict[str, Any]) -> RowsCursor:
        """What was saved."""
        last, settled = saved["last"], saved["settled"]
        start = Start(settled and unpack(settled), saved["since"])
        return cls(last and unpack(last), start, [[unpack(key) for key in saved["seen"]]])


class Window:
    """The rows that were read a short while ago.

    Serial numbers and times are given to a row before it is committed, so rows become visible out of order. As long as
    one was not read `lag` seconds ago, those before it may still be joined by others: these are found by their keys,
    which are not among those remembered. Only the order of the database counts; keys are never compared here.
    """

    def __init__(self, lag: float, cursor: RowsCursor) -> None:
        """Go on at a cursor: whatever it remembers may have been read just now."""
        self._lag = lag
        self.last = cursor.last
        self.settled = cursor.settled
        now = time.monotonic()
        self._pages = deque(_ReadPage(now, keys, cursor.last) for keys in cursor.seen if keys)
        """What was read within the lag, in the order of reading."""
        self._keys = {key for page in self._pages for key in page.keys}
        """All keys of these pages."""

    def __contains__(self, key: Key) -> bool:
        return key in self._keys

    @property
    def is_open(self) -> bool:
        """Whether rows may be committed late."""
        return bool(self._pages)

    def cursor(self) -> RowsCursor:
        """The cursor after everything that was read."""
        return RowsCursor(self.last, self.settled, [page.keys for page in self._pages])

    def advance(self, keys: Sequence[Key]) -> None:
        """Take note of rows that were read in order."""
        if not keys:
            return
        self.last = keys[-1]
        if self._lag:
            self._remember(keys, self.last)
        else:
            self.settled = Start(self.last)

    def add_late(self, keys: Sequence[Key]) -> None:
        """Take note of rows that were found behind others."""
        # They were read after another that has its place behind them.
        self._remember(keys, None)

    def forget(self) -> None:
        """Settle what was read `lag` seconds ago."""
        too_old = time.monotonic() - self._lag
        while self._pages and self._pages[0].at <= too_old:
            page = self._pages.popleft()
            self._keys.difference_update(page.keys)
            if page.last is not None:
                self.settled = Start(page.last)

    def _remember(self, keys: Sequence[Key], last: Key | None) -> None:
        self._pages.append(_ReadPage(time.monotonic(), keys, last))
        self._keys.update(keys)


@dataclass(frozen=True)
class _ReadPage:
    at: float
    """When it was read, by the monotonic clock."""
    keys: Sequence[Key]
    last: Key | None
    """The place that is settled with it; None where it was read out of order."""
