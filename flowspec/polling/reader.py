"""The reader of every polling trigger: polls ahead on a thread of its own, and saves what is delivered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from flowspec.delivery.background import Background
from flowspec.delivery.buffer import Buffer
from flowspec.delivery.health import LastPoll
from flowspec.errors import TransientError
from flowspec.polling.contract import Page, Poller, Settler
from flowspec.polling.polls import polled, too_long
from flowspec.polling.saver import Saver
from flowspec.polling.store import CursorStore, as_json
from flowspec.polling.watchdog import Watchdog

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.polling.contract import Cursor, PollingTrigger
    from flowspec.records import Record

__all__ = ["PollingReader"]

_PAGES_AHEAD = 2
_LONGEST_NAP = 30.0
"""Seconds after which the wall clock is looked at again: somebody may have set it."""
_TURN = 0.1
"""Seconds after which a wait looks whether the flow is stopping."""


_GRACE = 0.5
"""Seconds that a thread has to end when it is told to."""


@dataclass
class _Position:
    """Never changed, but for what is kept of a cursor that does not move."""

    handed: int
    """How many records were handed over."""
    cursor: Cursor | None
    """The cursor after them."""
    _pickled: bytes | None = None

    def __reduce__(self) -> tuple[Callable[[bytes], _Position], tuple[bytes]]:
        """For a recovery store, the cursor alone, as the state directory has it."""
        if self._pickled is None:
            self._pickled = as_json(self.cursor)
        return _resumed, (self._pickled,)


def _resumed(cursor: bytes) -> _Position:
    return _Position(0, orjson.loads(cursor))


class PollingReader:
    """Hands over what a poller finds; the cursor is saved when it is delivered.

    A poll has a thread of its own, so a slow one holds up nothing. Polls are ahead of the flow by two pages at most.
    """

    def __init__(self, trigger: PollingTrigger, context: WorkerContext, resume: _Position | None = None) -> None:
        self._trigger = trigger
        self._context = context
        self._health = context.health
        self._store = CursorStore(context.state_dir, context.flow, f"{trigger.connector}.{trigger.event}")
        self._schedule = trigger.schedule()
        self._pages: Buffer[Page] = Buffer(_PAGES_AHEAD)
        self._page: Page | None = None
        """The page that is being handed over."""
        self._taken = 0
        """How many of its records were."""
        self._resume = resume
        self._position = resume or _Position(0, None)
        self._committed = 0
        self._poller: Poller | None = None
        self._is_open = False
        self._last: Page | None = None
        """The last page that was polled."""
        self._cursor: Cursor | None = None
        """Where the next poll goes on."""
        self._poll_fails = False
        self._stopping = threading.Event()
        self._closed = False
        # Until the first poll has ended nobody knows whether there is something.
        self._health.asking = True
        self._saver = Saver(self._save, self._health, self._pages.fail)
        self._watchdog = Watchdog(trigger.timeout, self._cancel)
        self._polling = Background("trigger", self._health, self._pages.fail)
        self._polling.start(self._poll, self._stopping, "poll")

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over the next records of a page."""
        page = self._page or self._next_page(wait)
        if page is None:
            return []
        records = list(page.records[self._taken : self._taken + most])
        self._taken += len(records)
        if self._taken == len(page.records):
            cursor, self._page = page.cursor, None
        else:
            self._page = page
            cursor = self._position.cursor if page.part is None else page.part(self._taken)
        self._position = _Position(self._position.handed + len(records), cursor)
        return records

    def position(self) -> _Position:
        """How many records were handed over, and the cursor after them."""
        return self._position

    def commit(self, position: _Position) -> None:
        """Have the cursor saved."""
        self._committed = position.handed
        # Cursors without records may have come since.
        cursor = self._position.cursor if position.handed == self._position.handed else position.cursor
        if cursor is not None:
            self._saver.save(cursor)

    def stop(self) -> None:
        """Poll no more."""
        self._stopping.set()
        self._cancel()

    def close(self, timeout: float) -> None:
        """Save the cursor of all that is committed, and let go of the system."""
        if self._closed:
            return
        self._closed = True
        self.stop()
        self._watchdog.close()
        saved = self._saver.close(timeout)
        # A driver that cannot be interrupted ends with the process, and must not be closed under its own feet.
        polled = self._polling.join(_GRACE)
        if saved:
            self._store.close()
        if saved and polled and self._poller is not None:
            self._poller.close()

    def _cancel(self) -> None:
        if self._poller is not None:
            self._poller.cancel()

    def _next_page(self, wait: float) -> Page | None:
        """The next page that has records; None when none is there yet."""
        self._taken = 0
        for page in self._pages.take(1, wait):
            if page.records:
                return page
            self._pass(page.cursor)
        return None

    def _pass(self, cursor: Cursor | None) -> None:
        """Go on to a cursor that has no records before it."""
        if cursor == self._position.cursor:
            return
        self._position = _Position(self._position.handed, cursor)
        if self._committed == self._position.handed and cursor is not None:
            self._saver.save(cursor)

    def _poll(self) -> None:
        poller = self._opened()
        remaining = self._schedule.remaining()
        if remaining > 0:
            self._stopping.wait(min(remaining, _LONGEST_NAP))
            return
        if not self._may_poll(poller) or not self._pages.reserve(1, _TURN):
            return
        try:
            page = self._polled(poller)
            self._last, self._cursor = page, page.cursor
            self._pages.put_batch([page], 0)
        finally:
            self._pages.release(1)
        if not page.more:
            self._schedule.skip_to_next()
        self._health.asking = False
        if not self._saver.fails:
            self._health.up()

    def _may_poll(self, poller: Poller) -> bool:
        """Wait for a while until what the last poll found is settled, where it would be found again."""
        if self._last is None or not self._last.records or not isinstance(poller, Settler):
            return True
        return not poller.settles_before_next or self._saver.wait_for(self._last.cursor, _TURN)

    def _polled(self, poller: Poller) -> Page:
        trigger, health = self._trigger, self._health
        self._poll_fails = health.asking = True
        began = time.monotonic()
        try:
            with self._watchdog.watching():
                page = polled(poller, self._cursor, trigger.batch_size)
        except TransientError as error:
            if self._watchdog.barked:
                raise TransientError(too_long(trigger, poller)) from error
            raise
        health.last_poll = LastPoll(poller.what, time.monotonic() - began, len(page.records), time.time())
        self._poll_fails = False
        return page

    def _opened(self) -> Poller:
        """The poller; the first time it is made to go on at the saved cursor."""
        if self._poller is not None and self._is_open:
            return self._poller
        self._store.lock()
        saved = self._store.load()
        saved.check(self._trigger.cursor_basis())
        if self._poller is None:
            self._poller = self._trigger.poller(saved.beginning(self._trigger.since), self._context)
        self._cursor = saved.cursor
        if self._resume is not None and not saved.is_set:
            # What the steps of the flow remember goes up to here; a crash may have come before the cursor was saved.
            self._cursor = self._resume.cursor
            if self._cursor is not None:
                self._saver.save(self._cursor)
        if self._cursor is not None and isinstance(self._poller, Settler):
            self._poller.settle(self._cursor)
        self._is_open = True
        return self._poller

    def _save(self, cursor: Cursor) -> None:
        self._store.save(self._trigger.cursor_basis(), cursor)
        if isinstance(self._poller, Settler):
            self._poller.settle(cursor)
        # A moment later the saver is known to be well; if this is a recovery, the next poll would say so late.
        if not self._poll_fails:
            self._health.up()
