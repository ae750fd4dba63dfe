"""The messages this worker holds, and until when they are its own.

SQS calls it the visibility timeout: a received message is invisible to others for that long, and comes again when it
was neither deleted nor extended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MAX_HELD_SECONDS", "Lease", "Leases"]

_log = logging.getLogger(__name__)

MAX_HELD_SECONDS = 43_200
"""A message can be held for twelve hours from its receive, extensions included.

Source: "ChangeMessageVisibility" in the Amazon SQS API reference.
"""
_SAFETY_SECONDS = 5
"""Kept between the last extension and that cap: an extension beyond it is refused as a whole."""


@dataclass(slots=True, eq=False)
class Lease:
    """One held message. Times are those of the monotonic clock."""

    message_id: str
    receipt: str
    group: str | None
    received_at: float
    expires_at: float
    extendable: bool = True
    """False when SQS extends it no more: it reached the cap, or was refused."""

    @property
    def lost(self) -> bool:
        """Whether the message may by now be somebody else's."""
        return time.monotonic() >= self.expires_at

    def extension(self, timeout: int, now: float) -> int:
        """By how many seconds from `now` it can be extended, at most `timeout`."""
        return max(0, min(timeout, int(self.received_at + MAX_HELD_SECONDS - _SAFETY_SECONDS - now)))


class Leases:
    """All leases of a reader, by message id; safe to use from any thread."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, lease: Lease) -> bool:
        """Hold a received message; answers whether it is new.

        A message that is held already came again because its lease ran out. It is in the flow once, and from now on
        under the new receipt.
        """
        with self._lock:
            held = self._held.setdefault(lease.message_id, lease)
            if held is lease:
                return True
            held.receipt, held.received_at, held.expires_at = (
                lease.receipt,
                lease.received_at,
                lease.expires_at,
            )
            held.extendable = True
            return False

    def drop(self, leases: Iterable[Lease]) -> None:
        """Forget messages that were deleted, given back or lost."""
        with self._lock:
            for lease in leases:
                self._held.pop(lease.message_id, None)

    def due(self, timeout: int) -> list[tuple[Lease, int]]:
        """The leases past half of `timeout`, each with the seconds that it can be extended by."""
        now = time.monotonic()
        with self._lock:
            late = [lease for lease in self._held.values() if lease.extendable and lease.expires_at - now < timeout / 2]
        due = [(lease, lease.extension(timeout, now)) for lease in late]
        for lease, seconds in due:
            if seconds < timeout:
                lease.extendable = False
                _log.warning(
                    "message %s was in the flow for twelve hours, SQS hands it out again soon",
                    lease.message_id,
                )
        return [(lease, seconds) for lease, seconds in due if seconds > 0]
