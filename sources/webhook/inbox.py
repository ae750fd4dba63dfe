"""Where requests are that were let in: in memory until they are delivered, or on the disk."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from flowspec.delivery.background import Background
from flowspec.delivery.buffer import Buffer
from flowspec.errors import FatalError, TransientError
from sources.webhook.endpoint import STOPPING, Arrival
from sources.webhook.http import Answer, refused
from sources.webhook.messages import from_entry, to_entry
from sources.webhook.spool import Spool, SpoolPosition

if TYPE_CHECKING:
    from pathlib import Path

    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record
    from sources.webhook.trigger import Webhook

__all__ = ["Accepted", "Awaited", "Inbox", "Settle", "check_left_over"]

Settle: TypeAlias = Callable[..., None]
"""Answers arrivals on the server's thread: `settle(arrivals)`, or `settle(arrivals, answer)`."""

_SEGMENT_SIZE = 8 * 1024 * 1024
_CHUNK = 500
"""Entries that are written, or read, at a time."""
_LOOK = 0.1
"""Seconds between two looks whether the flow is being stopped."""
_GRACE = 0.5
"""Seconds that the disk has to store what it is storing: its answer is due as well."""
_SPOOL_FULL = refused(429, "too many accepted requests are not delivered yet; send it again later")
_NOT_STORED = refused(503, "the request could not be stored; send it again")


class Inbox(ABC):
    """What stands between the server and the flow."""

    unread: Buffer[Any]
    """What the flow takes next; whoever cannot go on makes it fail."""

    @abstractmethod
    def add(self, arrival: Arrival) -> Answer | None:
        """Take a request and settle it later, or refuse it; on the server's thread, which must not wait."""

    @abstractmethod
    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over records."""

    @abstractmethod
    def position(self) -> Position:
        """The position after all that was handed over."""

    @abstractmethod
    def commit(self, position: Position) -> None:
        """Take note that everything up to `position` is delivered."""

    @abstractmethod
    def stop(self) -> None:
        """Hand over nothing more."""

    @abstractmethod
    def close(self, timeout: float) -> None:
        """Settle whatever is not settled."""


class Awaited(Inbox):
    """Requests that are answered when they are delivered. When the process dies their senders get no answer."""

    def __init__(self, trigger: Webhook, settle: Settle, context: WorkerContext) -> None:
        self._settle = settle
        self._batch_wait = trigger.batch_wait
        self._health = context.health
        # The endpoint bounds it, as what is in the flow counts too.
        self.unread: Buffer[Arrival] = Buffer()
        self._handed: deque[Arrival] = deque()
        self._position = 0
        self._committed = 0

    def add(self, arrival: Arrival) -> None:
        """Put it before the flow."""
        self.unread.put_batch([arrival], arrival.size)

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over records."""
        taken = self.unread.take(most, wait, self._batch_wait)
        self._handed += taken
        self._position += len(taken)
        self._health.lag = len(self.unread)
        return [arrival.record for arrival in taken]

    def position(self) -> int:
        """How many were handed over."""
        return self._position

    def commit(self, position: int) -> None:
        """Answer those that are delivered."""
        self._settle([self._handed.popleft() for _ in range(position - self._committed)])
        self._committed = position

    def stop(self) -> None:
        """Have those sent again that the flow has not begun with."""
        self._settle(self.unread.clear(), STOPPING)

    def close(self, timeout: float) -> None:
        """Have the rest sent again as well."""
        self._settle([*self.unread.clear(), *self._handed], STOPPING)
        self._handed.clear()


class Accepted(Inbox):
    """Requests that are answered when they are on the disk, and read from there.

    Those that arrive while the disk is busy are written together, so that its latency bounds no rate.
    """

    def __init__(self, trigger: Webhook, settle: Settle, context: WorkerContext, directory: Path) -> None:
        """Open the spool in `directory`.

        Raises:
            FatalError: it cannot be used.
        """
        self._settle = settle
        self._batch_wait = trigger.batch_wait
        self._health = context.health
        self._spool = Spool(directory, min(_SEGMENT_SIZE, trigger.spool_size // 4))
        self._most = trigger.spool_size
        self._unwritten: Buffer[Arrival] = Buffer()
        most = trigger.batch_size + 2 * _CHUNK
        self.unread: Buffer[tuple[Record, SpoolPosition]] = Buffer(most, trigger.pending_size)
        self._position: SpoolPosition | None = None
        self._closing = threading.Event()
        self._stopping = threading.Event()
        self._closed = False
        self._threads = Background("webhook", context.health, self.unread.fail)
        self._threads.start(self._write, self._closing, "spool-writer")
        self._threads.start(self._read_ahead, self._stopping, "spool-reader")

    def add(self, arrival: Arrival) -> Answer | None:
        """Have it written, if there is room for it."""
        if self._spool.size >= self._most:
            return _SPOOL_FULL
        self._unwritten.put_batch([arrival], arrival.size)
        return None

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over records."""
        taken = self.unread.take(most, wait, self._batch_wait)
        if taken:
            self._position = taken[-1][1]
        self._health.lag = self._spool.waiting + len(self.unread)
        return [record for record, _ in taken]

    def position(self) -> SpoolPosition | None:
        """Where in the spool the last one ends that was handed over."""
        return self._position

    def commit(self, position: SpoolPosition | None) -> None:
        """Remove what is delivered."""
        if position is None:
            return
        try:
            self._spool.commit(position)
        except OSError as error:
            self._health.down(error)

    def stop(self) -> None:
        """Read no more; the spool keeps the rest."""
        self._stopping.set()

    def close(self, timeout: float) -> None:
        """Write what was received, and close the spool."""
        if self._closed:
            return
        self._closed = True
        self._stopping.set()
        self._closing.set()
        until = time.monotonic() + timeout
        if self._threads.join(timeout + _GRACE):
            while self._unwritten and time.monotonic() < until:
                self._write()
            self._spool.close()
        self._settle(self._unwritten.clear(), STOPPING)

    def _write(self) -> None:
        arrivals = self._unwritten.take(_CHUNK, _LOOK)
        if not arrivals:
            return
        try:
            self._spool.append([to_entry(arrival.record) for arrival in arrivals])
        except OSError as error:
            self._settle(arrivals, _NOT_STORED)
            self._health.down(error)
        else:
            self._settle(arrivals)
            self._health.up()

    def _read_ahead(self) -> None:
        if not self.unread.reserve(_CHUNK, _LOOK):
            return
        try:
            entries = self._spool.read(_CHUNK, _LOOK)
            self.unread.put_batch(
                [(from_entry(entry), position) for entry, position in entries], sum(len(entry) for entry, _ in entries)
            )
        except OSError as error:
            raise TransientError(str(error)) from error
        finally:
            self.unread.release(_CHUNK)


def check_left_over(directory: Path) -> None:
    """See that nothing was accepted by an earlier run and is not delivered.

    Raises:
        FatalError: there is something.
    """
    if not directory.exists():
        return
    spool = Spool(directory, _SEGMENT_SIZE)
    spool.close()
    if spool.waiting:
        msg = (
            f"{spool.waiting} requests that were accepted before are not delivered, they are in {directory}: run the "
            "flow with 'respond': 'accepted' until they are, or remove them"
        )
        raise FatalError(msg)
