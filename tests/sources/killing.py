"""Flows with a cursor that are killed, and what may come again then."""

from __future__ import annotations

from sources.testing.flows import RunningFlow, eventually
from sources.testing.lab import Lab

__all__ = ["kill_behind_a_cursor", "saved_cursor"]

_BATCHES = 10
"""How many of them may be in the flow at once."""


def kill_behind_a_cursor(flow: RunningFlow, lab: Lab, batch_size: int) -> int:
    """Kill a flow while it delivers; answers how many records may come again.

    How long ago its cursor was saved then is a matter of how fast the disk is, and so is measured: the second cursor
    from now on is behind what was delivered when the first one was there, but for what was in the flow.
    """
    for _ in range(2):
        delivered, cursor = lab.distinct(), saved_cursor(lab)
        eventually(lambda before=cursor: saved_cursor(lab) != before, "the cursor is saved")  # type: ignore[misc]
    flow.kill()
    return lab.distinct() - delivered + _BATCHES * batch_size


def saved_cursor(lab: Lab) -> str:
    """The file of the cursor of a lab's flow; an empty text before it is there."""
    files = [*(lab.directory / "state" / "cursors").glob("*.json")]
    return files[0].read_text() if files else ""
