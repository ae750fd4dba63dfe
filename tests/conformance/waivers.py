"""Reasons that several triggers or sinks share for what they are not held to."""

from __future__ import annotations

__all__ = ["APPENDS", "POLLS"]

GATHERS = "a batch is what the flow hands over: the sink confirms all of it, or names what it could not write"
APPENDS = {
    7: GATHERS,
    8: GATHERS,
    20: "each record is added, and replaces none",
}
"""Of sinks that add what they are given."""
_FOUND = "a batch is what a poll finds"
POLLS = {
    9: _FOUND,
    24: "nothing is leased: the cursor is the flow's own",
    25: "the cursor is saved on the flow's own machine",
    30: "who has the cursor polls, and another run waits until it may have it",
    31: _FOUND,
}
"""Of triggers that poll."""
