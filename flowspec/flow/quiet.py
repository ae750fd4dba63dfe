"""The terminal's standard error, while flows run in a notebook."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_lock = threading.Lock()
_kept: list[int] = []
"""For each flow that runs: the file descriptor that standard error had before the first of them, or -1."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Rust prints of a flow that fails, past Python's streams, out of a notebook: the flow says it better.

    Where Python's standard error is the terminal's, nothing is kept: messages would be lost.
    """
    with _lock:
        first = not _kept
        _kept.append(_silenced() if first and not _is_descriptor_2() else -1)
    try:
        yield
    finally:
        with _lock:
            if len(_kept) > 1:
                _kept.pop()
            elif (kept := _kept.pop()) >= 0:
                os.dup2(kept, 2)
                os.close(kept)


def _silenced() -> int:
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return kept


def _is_descriptor_2() -> bool:
    try:
        return sys.stderr.fileno() == 2  # noqa: PLR2004
    except (AttributeError, OSError, ValueError):
        return False
