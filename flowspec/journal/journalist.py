"""The thread that writes a journal."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from flowspec.errors import FatalError
from flowspec.journal.backlog import Backlog
from flowspec.journal.store import Counted

if TYPE_CHECKING:
    from flowspec.delivery.tally import Tally
    from flowspec.journal.store import Chunk, JournalStore

__all__ = ["Journalist"]

_log = logging.getLogger(__name__)

_INTERVAL = 1.0
"""Seconds between two times of writing."""
_AT_ONCE = 50_000
"""Executions of a transaction; when so many wait, they are written at once."""
_MOST = 200_000
_MOST_BYTES = 64 * 1024**2
"""What waits at most: some seconds of a fast flow."""
_PRUNED = 100
"""Rows that are removed in a transaction beside twice as many as came, so that a lower limit is reached one day."""
_LOOK = 60.0
"""Seconds between two looks for what is too old, where nothing is written."""
_CLOSE = 5.0
"""Seconds that the last of it may take."""
_QUIET = 10.0
"""Seconds without a loss after which a gap is over."""
_TOO_SLOW = "the disk did not keep up"


class Journalist:
    """Writes what a worker hands over, in the background.

    While the journal cannot be written it is tried again and again; what becomes too much is dropped, the oldest first.
    The log says when that begins, and when it is over; the journal says from when to when it has a gap.
    """

    def __init__(self, store: JournalStore, tally: Tally) -> None:
        """Begin."""
        self._store = store
        self._tally = tally
        self._backlog = Backlog(_MOST, _MOST_BYTES)
        self._counted = _counts(tally)
        self._problem: str | None = None
        """Why the last attempt failed."""
        self._said_gap = False
        self._written = 0
        """Rows since the last look for what is too old."""
        self._look_at = 0.0
        self._count_at = 0.0
        self._wake = threading.Event()
        self._closing = threading.Event()
        # A daemon: a disk that hangs must not hold up the end of the process.
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def write(self, chunk: Chunk) -> None:
        """Have executions written soon."""
        self._backlog.add(chunk)
        if len(self._backlog) >= _AT_ONCE:
            self._wake.set()

    def close(self) -> None:
        """Write what is left, for some seconds at most."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._thread.join(_CLOSE)
        if left := len(self._backlog):
            _log.warning(
                "%d executions are not in the journal %s: %s", left, self._store.path, self._problem or _TOO_SLOW
            )

    def _work(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(_INTERVAL)
            self._wake.clear()
            if not self._flush():
                # However much is waiting: what failed just now fails again.
                self._closing.wait(_INTERVAL)
        self._flush()
        self._store.close()

    def _flush(self) -> bool:
        """Write all that waits; answers whether that worked."""
        try:
            self._write_backlog()
            # Each statement takes the interpreter's lock twice, for which it waits beside a busy flow.
            if self._closing.is_set() or time.monotonic() >= self._count_at:
                self._write_counts()
                self._prune()
                self._count_at = time.monotonic() + _INTERVAL
        except (sqlite3.Error, OSError, FatalError) as error:
            self._failed(str(error))
            return False
        except Exception:  # noqa: BLE001 - a mistake here must cost the journal and not the flow
            _log.exception("the journal cannot be written because of a mistake in it")
            self._problem = "see the log"
            return False
        self._succeeded()
        return True

    def _write_backlog(self) -> None:
        while chunks := self._backlog.take(_AT_ONCE):
            try:
                self._written += self._store.add(chunks)
            except BaseException:
                self._backlog.put_back(chunks)
                raise
            self._write_gap()
        self._write_gap()

    def _write_gap(self) -> None:
        gap = self._backlog.gap
        if gap is None:
            return
        reason = self._problem or _TOO_SLOW
        if not self._said_gap:
            self._said_gap = True
            _log.warning("the journal %s has a gap: %s", self._store.path, reason)
        if lost := gap.lost:
            self._store.miss(gap.since, lost, reason)
            self._backlog.noted(lost)

    def _write_counts(self) -> None:
        counts = _counts(self._tally)
        if counts != self._counted:
            self._store.count(counts - self._counted)
            self._counted = counts

    def _prune(self) -> None:
        if not self._store.path.exists() or (not self._written and time.monotonic() < self._look_at):
            return
        more = self._store.prune(2 * self._written + _PRUNED)
        self._written = 0
        self._look_at = time.monotonic() + (_INTERVAL if more else _LOOK)

    def _failed(self, problem: str) -> None:
        if self._problem is None:
            _log.warning(
                "the journal %s cannot be written, which is tried again; the flow goes on: %s",
                self._store.path,
                problem,
            )
        self._problem = problem

    def _succeeded(self) -> None:
        lost = self._backlog.end_gap(_QUIET)
        if lost:
            self._said_gap = False
            _log.warning("the journal %s is whole again; %d executions are missing", self._store.path, lost)
        elif self._problem is not None:
            _log.info("the journal %s is written again", self._store.path)
        self._problem = None


def _counts(tally: Tally) -> Counted:
    return Counted(tally.received, tally.delivered, tally.filtered, tally.failed, tally.dead_letters, tally.retried)
