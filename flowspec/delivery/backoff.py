"""Delays between attempts."""

from __future__ import annotations

import random

from flowspec.errors import TransientError

__all__ = ["Backoff"]


class Backoff:
    """Delays that double from `first` to `most` seconds, each cut by up to half at random.

    The jitter keeps workers that failed together from coming back together.
    """

    def __init__(self, first: float = 0.1, most: float = 30.0) -> None:
        self._first = first
        self._most = most
        self._next = first

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        delay, self._next = self._next, min(self._next * 2, self._most)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret

    def after(self, error: Exception) -> float:
        """Seconds to wait after `error`: no less than it asks for."""
        return max(self.next(), error.retry_after if isinstance(error, TransientError) else 0.0)

    def reset(self) -> None:
        """Begin at `first` again: an attempt succeeded."""
        self._next = self._first
