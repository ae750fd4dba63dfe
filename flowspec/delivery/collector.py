"""How often Python looks for garbage while a flow runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collecting_rarely"]

_NEW_OBJECTS = 10_000
"""Python's own 700 are less than one batch: it then looks many times at records that are all still in use, which costs
a fifth of a flow's CPU. Records make no cycles, so what a longer wait keeps is next to nothing."""


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Look for garbage once in several batches, and never among what was there before the flow ran."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
