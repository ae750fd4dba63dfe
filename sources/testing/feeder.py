"""Sending in the background, while a flow runs and is killed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from sources.testing.lab import numbered

__all__ = ["Feeder"]

_LOOK = 0.01


class Feeder:
    """Sends numbered records in batches, never further ahead than it may be of what has come out.

    Without a count it goes on until the block ends.
    """

    def __init__(
        self,
        send: Callable[[Sequence[bytes]], None],
        count: int | None = None,
        *,
        delivered: Callable[[], int],
        batch: int = 100,
        backlog: int = 10_000,
    ) -> None:
        self._send = send
        self._count = sys.maxsize if count is None else count
        self._delivered = delivered
        self._batch = batch
        self._backlog = backlog
        self._sending = threading.Lock()
        self._ending = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        self.sent = 0
        """How many were sent."""

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is under way to the system, and `sent` is exact."""
        with self._sending:
            yield

    def _feed(self) -> None:
        try:
            while self.sent < self._count and not self._ending.is_set():
                if self.sent - self._delivered() > self._backlog:
                    self._ending.wait(_LOOK)
                    continue
                until = min(self.sent + self._batch, self._count)
                with self._sending:
                    self._send(numbered(range(self.sent, until)))
                    self.sent = until
        except Exception as error:  # noqa: BLE001 - raised where the block ends
            self._error = error
