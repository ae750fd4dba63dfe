"""Reasons that several sinks share for what they are not held to."""

from __future__ import annotations

__all__ = ["APPENDS"]

GATHERS = "a batch is what the flow hands over: the sink confirms all of it, or names what it could not write"
APPENDS = {
    7: GATHERS,
    8: GATHERS,
    20: "each record is added, and replaces none",
}
"""Of sinks that add what they are given."""
