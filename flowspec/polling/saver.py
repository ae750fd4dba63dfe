"""Saving the cursor of what is delivered, on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowspec.delivery.background import Background

if TYPE_CHECKING:
    from flowspec.delivery.health import Health
    from flowspec.polling.contract import Cursor

__all__ = ["Saver"]


_GRACE = 0.5
"""Seconds that the thread has to end when it is told to."""


_REST = 9.0
"""How many times as long as a cursor took to save the next one waits: a large one must not slow the flow down."""
_LONGEST_REST = 2.0


class Saver:
    """Saves the last cursor that it was given: of several that came meanwhile only that one counts."""

    def __init__(self, save: Callable[[Cursor], None], health: Health, failed: Callable[[Exception], None]) -> None:
        """Call `save` with cursors; what it raises is treated like what a poll raises."""
        self._save = save
        self._changed = threading.Condition()
        self._waiting: list[Cursor] = []
        """The cursor to save next, if there is one."""
        self._saved: Cursor | None = None
        self._closing = threading.Event()
        self._ended = threading.Event()
        self.fails = False
        """Whether the last attempt failed."""
        self._thread = Background("cursor", health, failed)
        self._thread.start(self._work, self._ended, "saver")

    def save(self, cursor: Cursor) -> None:
        """Have a cursor saved soon."""
        with self._changed:
            self._waiting = [cursor]
            self._changed.notify_all()

    def wait_for(self, cursor: Cursor, timeout: float) -> bool:
        """Wait until this very cursor is saved; answers whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._saved is cursor, timeout)

    def close(self, timeout: float) -> bool:
        """Save what was given, for `timeout` seconds and a moment at most; answers whether the thread has ended."""
        self._closing.set()
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, timeout)
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        return self._thread.join(_GRACE)

    def _work(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended.is_set())
            if not self._waiting:
                return
            (cursor,) = self._waiting
        began = time.monotonic()
        self.fails = True
        self._save(cursor)
        self.fails = False
        took = time.monotonic() - began
        with self._changed:
            self._saved = cursor
            if self._waiting and self._waiting[0] is cursor:
                self._waiting = []
            self._changed.notify_all()
        self._closing.wait(min(took * _REST, _LONGEST_REST))
