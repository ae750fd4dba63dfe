"""Whether a trigger or sink reaches its system, said once for each change."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Health", "HealthState", "LastPoll"]

HealthState: TypeAlias = Literal["starting", "up", "down"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LastPoll:
    """The last query of a polling trigger that was answered."""

    what: str
    """The query, without secrets."""
    seconds: float
    """How long it took."""
    records: int
    """How many records it found."""
    at: float
    """When it was answered, in seconds since the epoch."""


@dataclass
class Health:
    """The state of one end of a flow on one worker; safe to use from any thread.

    Each change of state is one log line, however often it is reported.
    """

    name: str
    """`trigger`, or the id of the sink."""
    state: HealthState = "starting"
    reason: str | None = None
    """Why the state is `down`."""
    since: float = field(default_factory=time.time)
    """When the state began, in seconds since the epoch."""
    retries: int = 0
    """Attempts that failed, ever."""
    lag: int | None = None
    """Records that the system has for this worker and the flow has not taken yet; None where it does not say."""
    last_poll: LastPoll | None = None
    """Of a polling trigger."""
    asking: bool = False
    """Whether the system is being asked and may have something: a flow is not idle before it has answered."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def up(self) -> None:
        """Say that the system answered."""
        if self.state == "up":
            return
        with self._lock:
            previous, self.state, self.reason = self.state, "up", None
            lasted, self.since = time.time() - self.since, time.time()
        if previous == "down":
            _log.info("%s is back after %.1f s", self.name, lasted)

    def down(self, error: BaseException) -> None:
        """Say that the system cannot be used at present; it is tried again."""
        with self._lock:
            self.retries += 1
            changed = self.state != "down"
            self.state, self.reason = "down", str(error)
            if changed:
                self.since = time.time()
        if changed:
            _log.warning("%s is down and is tried again: %s", self.name, error)
