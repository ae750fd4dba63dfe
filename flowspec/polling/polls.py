"""One poll, as everybody makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowspec.records import Trace

if TYPE_CHECKING:
    from flowspec.polling.contract import Cursor, Page, Poller, PollingTrigger

__all__ = ["polled", "too_long"]


def polled(poller: Poller, cursor: Cursor | None, most: int) -> Page:
    """What a poller finds behind a cursor; its records keep the bodies that they come with.

    Raises:
        TransientError: the system cannot answer now.
        FatalError: asking again cannot help.
    """
    page = poller.poll(cursor, most)
    # No format of the spec could make them again of the payload.
    for record in page.records:
        record.trace = Trace(record.body)
    return page


def too_long(trigger: PollingTrigger, poller: Poller) -> str:
    """What is said about a poll that was cancelled because of its timeout."""
    return f"the poll took longer than its timeout of {trigger.timeout:g} s: {poller.what}"
