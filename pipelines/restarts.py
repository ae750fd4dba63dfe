"""When a run that failed is started again, and when it is given up."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from flowspec.delivery.backoff import Backoff
from flowspec.errors import FlowError

__all__ = ["Failure", "RestartPolicy", "Restarts"]

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_GOOD_RUN = 60.0
"""Seconds of running after which earlier failures do not count any more."""

_POLICY = re.compile(r"(?P<no>no)|on-failure(?::(?P<most>[0-9]{1,9}))?", re.ASCII)


@dataclass(frozen=True)
class RestartPolicy:
    """What `--restart` was given."""

    most: int | None = 0
    """How many restarts in a row; None for any number."""

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """The policy that `no`, `on-failure` or `on-failure:MAX` is.

        Raises:
            FlowError: it is none of them.
        """
        match = _POLICY.fullmatch(text)
        if match is None or (match["most"] and int(match["most"]) == 0):
            msg = f"{text!r} is no policy; write no, on-failure, or on-failure:5 for at most 5 restarts in a row"
            raise FlowError(msg)
        if match["no"]:
            return cls(0)
        return cls(int(match["most"]) if match["most"] else None)


@dataclass(frozen=True)
class Failure:
    """What ended a run, or a part of it. Picklable."""

    reason: str
    at: float
    """Seconds since the epoch."""


class Restarts:
    """Counts the failures of a run, and says how long to wait after each."""

    def __init__(self, policy: RestartPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._began = clock()
        self._first: str | None = None
        self._in_a_row = 0
        self.count = 0
        """All restarts so far."""
        self.last: Failure | None = None

    @property
    def allowed(self) -> bool:
        """Whether a run is started again at all."""
        return self._policy.most != 0

    def begin(self) -> None:
        """Note that the workers are started."""
        self._began = self._clock()

    def after(self, reason: str) -> float | None:
        """Seconds to wait before the next start; None when there is to be none."""
        if self._clock() - self._began >= _GOOD_RUN:
            self._first, self._in_a_row = None, 0
            self._backoff.reset()
        self.last = Failure(reason, time.time())
        self._first = self._first or reason
        if self._in_a_row == self._policy.most:
            return None
        self._in_a_row += 1
        self.count += 1
        return self._backoff.next()

    @property
    def which(self) -> str:
        """Which restart in a row the next one is."""
        return f"restart {self._in_a_row}" + (f" of {self._policy.most}" if self._policy.most else "")

    @property
    def given_up(self) -> str:
        """What is said when there is no other restart."""
        if self._in_a_row == 0:
            return f"{self._first}"
        return self._after_all(
            "given up after " + ("1 restart" if self._in_a_row == 1 else f"{self._in_a_row} restarts")
        )

    @property
    def stopped(self) -> str:
        """What is said when a stop is asked for before the next restart."""
        return self._after_all(f"stopped before restart {self._in_a_row}")

    def _after_all(self, end: str) -> str:
        """The first error of those in a row, and the last if it is another one."""
        last = self.last.reason if self.last else None
        return f"{self._first} ({end}" + (f"; at last: {last})" if last != self._first else ")")
