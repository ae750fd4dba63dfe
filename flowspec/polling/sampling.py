"""Looking at what a polling trigger would find next, without taking it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from flowspec.polling.polls import polled, too_long
from flowspec.polling.store import CursorStore
from flowspec.polling.watchdog import within

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.polling.contract import PollingTrigger
    from flowspec.records import Record

__all__ = ["sampled"]


def sampled(trigger: PollingTrigger, most: int, wait: float, context: WorkerContext) -> list[Record]:
    """The records behind the saved cursor of the flow, or else where `since` says.

    The file of the cursor is read, and not locked: a flow may run meanwhile. Nothing is settled.

    Raises:
        TransientError: the system cannot answer now.
        FatalError: it never will, or the cursor is one of something else.
    """
    saved = CursorStore(context.state_dir, context.flow, f"{trigger.connector}.{trigger.event}").load()
    saved.check(trigger.cursor_basis())
    cursor, schedule = saved.cursor, trigger.schedule()
    records: list[Record] = []
    began = time.monotonic()
    with closing(trigger.poller(saved.beginning(trigger.since), context)) as poller:
        while len(records) < most:
            with within(trigger.timeout, poller.cancel, lambda: too_long(trigger, poller)):
                page = polled(poller, cursor, most - len(records))
            records += page.records
            cursor = page.cursor
            took = time.monotonic() - began
            if page.more:
                # What is there at this moment is looked through even where most of it is known already.
                if took > trigger.timeout:
                    break
                continue
            schedule.skip_to_next()
            pause = schedule.remaining()
            if records or took + pause > wait or context.stopping.wait(max(0.0, pause)):
                break
    return records
