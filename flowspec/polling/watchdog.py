"""Ending a poll that takes too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from flowspec.errors import TransientError

__all__ = ["Watchdog", "within"]

_LOOKS = 4
"""How often a time is looked at until it is over."""
_LONGEST_NAP = 1.0


class Watchdog:
    """Calls `cancel` when something takes longer than it may; by up to a quarter longer, for it looks now and then."""

    def __init__(self, timeout: float, cancel: Callable[[], None]) -> None:
        """Allow `timeout` seconds."""
        self._timeout = timeout
        self._cancel = cancel
        self._began: float | None = None
        """When what is watched began, by the monotonic clock; None while there is nothing."""
        self.barked = False
        """Whether it took too long."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="trigger-timeout", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the block."""
        self.barked = False
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._began = None

    def close(self) -> None:
        """Watch no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(min(self._timeout / _LOOKS, _LONGEST_NAP)):
            began = self._began
            if began is not None and time.monotonic() - began > self._timeout:
                self.barked = True
                self._cancel()


@contextmanager
def within(seconds: float, cancel: Callable[[], None], complaint: Callable[[], str]) -> Iterator[None]:
    """Have `cancel` called when the block takes longer than it may.

    Raises:
        TransientError: it failed because of that; `complaint` has the words for it.
    """
    with closing(Watchdog(seconds, cancel)) as watchdog:
        try:
            with watchdog.watching():
                yield
        except TransientError as error:
            if watchdog.barked:
                raise TransientError(complaint()) from error
            raise
