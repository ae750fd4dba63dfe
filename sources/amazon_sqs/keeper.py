"""Keeps the messages in the flow ours, and deletes those that are delivered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from flowspec.delivery.background import Background
from flowspec.delivery.backoff import Backoff
from flowspec.delivery.buffer import Buffer
from flowspec.errors import FatalError, TransientError
from sources.amazon_sqs.leases import Lease, Leases
from sources.amazon_sqs.queue import TEN, Outcome, Queue

if TYPE_CHECKING:
    from flowspec.delivery.health import Health

__all__ = ["EXTRA_CONNECTIONS", "Keeper", "make_visible"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSE = 0.2
"""Seconds between two looks of the deleter."""
_CALLS = 4
"""Extensions that run at the same time: ten thousand messages must be extended well within half their timeout."""
EXTRA_CONNECTIONS = _CALLS + 1
"""What a keeper needs of the client's pool, for its calls and its deleter."""
_MOST_DELETES = 10_000
"""With more deletes than that waiting the queue does not accept them, and nothing more should be received."""


class Keeper:
    """Leases and deletes of one reader, on two threads of its own.

    A delete that fails is tried again until it succeeds, and its lease is extended until then: what was delivered
    does not come again because a call failed.
    """

    def __init__(self, queue: Queue, health: Health, failed: Callable[[Exception], None], *, fifo: bool) -> None:
        """Keep messages of `queue`; `failed` is called with an error after which nothing more can be kept."""
        self._queue = queue
        # A delete waits a little for nine others. In a FIFO queue the next message of its group would wait with it.
        self._gather = 0.0 if fifo else _PAUSE
        self._leases = Leases()
        self._deletes: Buffer[Lease] = Buffer()
        self._visibility: int | None = None
        self._closing = threading.Event()
        self._calls = ThreadPoolExecutor(_CALLS, "sqs-call")
        self._threads = Background("sqs", health, failed)
        self._threads.start(self._delete_rest, self._closing, "deleter")
        self._threads.start(self._extend_due, self._closing, "extender")
        self.deletes_fail = False
        """Whether the last delete failed; the deleter's thread then tries alone."""

    @property
    def overdue(self) -> bool:
        """Whether so many deletes are waiting that nothing more should be received."""
        return len(self._deletes) > _MOST_DELETES

    def hold(self, lease: Lease, visibility: int) -> bool:
        """Keep a received message ours; answers False when it is held already, and needs no second way."""
        self._visibility = visibility
        return self._leases.take(lease)

    def let_go(self, leases: Iterable[Lease]) -> None:
        """Keep messages no longer: they come again when their visibility timeout is over."""
        self._leases.drop(leases)

    def delete(self, leases: Iterable[Lease]) -> None:
        """Have messages deleted in the background."""
        self._deletes.put((lease, 0) for lease in leases)

    def delete_some(self) -> None:
        """Delete up to ten messages on the caller's thread, if that many wait or the first has waited long enough."""
        if not self.deletes_fail:
            self._delete(self._deletes.take(TEN, wait=0, gather=self._gather))

    def give_back(self, leases: Sequence[Lease], until: float) -> None:
        """Make messages visible to others now; tried again up to the time `until`."""
        self._leases.drop(leases)
        self._persist(self._queue.make_visible, leases, until)

    def close(self, until: float) -> None:
        """Delete what is to be deleted, tried again up to the time `until`."""
        self._closing.set()
        self._threads.join(max(0.0, until - time.monotonic()))
        self._persist(self._queue.delete, self._deletes.clear(), until)
        self._calls.shutdown()

    def _persist(self, call: Callable[[Sequence[Lease]], Outcome], leases: Sequence[Lease], until: float) -> None:
        left = sum(self._calls.map(lambda ten: _persist(call, ten, until), _tens(leases)))
        if left:
            _log.warning("%d messages could not be deleted or given back in time, they will come again", left)

    def _delete_rest(self) -> None:
        # It asks for far more than ten, so that receivers who pass by take the full tens. Where a delete may wait it
        # looks now and then, as a wait for them would wake it for each.
        self._closing.wait(self._gather)
        rest = self._deletes.take(_MOST_DELETES, wait=_PAUSE - self._gather, gather=self._gather)
        try:
            while rest:
                ten, rest = rest[:TEN], rest[TEN:]
                self._delete(ten)
        finally:
            self.delete(rest)

    def _delete(self, leases: Sequence[Lease]) -> None:
        if not leases:
            return
        again: Sequence[Lease] = leases
        try:
            outcome = self._queue.delete(leases)
            again = outcome.again
            if outcome.refused:
                _log.warning("%d messages were lost before they were deleted, they come again", len(outcome.refused))
        finally:
            self.deletes_fail = bool(again)
            self._leases.drop(set(leases) - set(again))
            self.delete(again)
        if again:
            msg = f"{len(again)} messages could not be deleted"
            raise TransientError(msg)

    def _extend_due(self) -> None:
        timeout = self._visibility
        self._closing.wait(min(timeout / 8, 5.0) if timeout else 0.1)
        if timeout:
            # A list, so that the first error is raised here.
            list(self._calls.map(self._extend, _tens(self._leases.due(timeout))))

    def _extend(self, due: Sequence[tuple[Lease, int]]) -> None:
        leases = [lease for lease, _ in due]
        seconds = [extension for _, extension in due]
        asked_at = time.monotonic()
        outcome = self._queue.change_visibility(leases, seconds)
        for lease in outcome.refused:
            lease.extendable = False
        failed = {*outcome.again, *outcome.refused}
        for lease, extension in due:
            if lease not in failed:
                lease.expires_at = asked_at + extension


def make_visible(queue: Queue, leases: Sequence[Lease], until: float) -> int:
    """Give up to ten messages back, tried again up to the time `until`; answers how many are left."""
    return _persist(queue.make_visible, leases, until)


def _persist(call: Callable[[Sequence[Lease]], Outcome], leases: Sequence[Lease], until: float) -> int:
    """Repeat a call until nothing is left or the time is over; answers how many messages are left."""
    backoff = Backoff()
    while leases:
        try:
            leases = call(leases).again
        except TransientError as error:
            _log.debug("tried again: %s", error)
        except FatalError as error:
            _log.warning("%s", error)
            break
        if leases:
            delay = backoff.next()
            if time.monotonic() + delay > until:
                break
            time.sleep(delay)
    return len(leases)


def _tens(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while ten := list(islice(rest, TEN)):
        yield ten
