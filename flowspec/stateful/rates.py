"""The records of one key that wait until it is their time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowspec.errors import RecordError
from flowspec.stateful.contract import Memory
from flowspec.stateful.times import micros_now, seconds
from flowspec.stateful.waiting import Waiting

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.contract import Item, Outlet

__all__ = ["Rate", "Throttled"]


@dataclass(frozen=True)
class Rate:
    """How many records may go on: a bucket of `burst` tokens, to which `count` are added evenly in each `per`."""

    count: int
    per: int
    """Microseconds."""
    burst: int


@dataclass
class _State:
    waiting: tuple[bytes, ...] = ()
    full_at: int = 0
    """When the bucket will be full, in microseconds times `count`: so a token takes `per`, and nothing is rounded."""
    count: int = 1


class Throttled(Memory[_State]):
    """The bucket of one key, and the records that wait for its tokens."""

    def __init__(self, state: _State | None, rate: Rate, most: int) -> None:
        """Go on with a state; `most` records may wait."""
        state = state or _State()
        self._rate, self._most = rate, most
        self._waiting = Waiting(state.waiting)
        # Rounded up, where the spec says another rate now.
        self._full_at = -(-state.full_at * rate.count // state.count)
        self._refill()

    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        """Let records go on, in the order in which they come, as far as there are tokens."""
        left = self._let_go()
        fresh = [record for record, _ in items]
        count = 0 if self._waiting else self._tokens(len(fresh))
        left += fresh[:count]
        for record in fresh[count:]:
            try:
                self._wait(record)
            except RecordError as error:
                outlet.fail(record, error)
        return left

    def _wait(self, record: Record) -> None:
        if len(self._waiting) >= self._most:
            msg = (
                f"{self._most:,} records with its key wait already, which is the most; let more go on, by a higher "
                f"rate, or wait, by a higher `most`; or have `on_error` try it again later"
            )
            raise RecordError(msg)
        self._waiting.add(record)

    def _let_go(self) -> list[Record]:
        return self._waiting.taken(self._tokens(len(self._waiting)))

    def _tokens(self, most: int) -> int:
        """Take tokens, as many as there are."""
        taken = min(most, self._refill())
        self._full_at += taken * self._rate.per
        return taken

    def _refill(self) -> int:
        """How many tokens there are."""
        rate = self._rate
        empty = micros_now() * rate.count + rate.burst * rate.per
        # To fill it takes no longer than that, also if the clock was set back, or the spec says another rate now.
        self._full_at = min(max(self._full_at, empty - rate.burst * rate.per), empty)
        return (empty - self._full_at) // rate.per

    def due(self) -> float | None:
        """When the first of those that wait may go on; if there is none, when the bucket is full."""
        rate = self._rate
        at = self._full_at - (rate.burst - 1) * rate.per if self._waiting else self._full_at
        return seconds(-(-at // rate.count))

    def wake(self, outlet: Outlet) -> list[Record]:
        """Let those go on whose time it is."""
        return self._let_go()

    def end(self, outlet: Outlet) -> list[Record]:
        """Let all go on: a flow that has ended cannot wait."""
        return self._waiting.taken(len(self._waiting))

    def is_empty(self) -> bool:
        """Whether nothing waits, and the bucket is full."""
        return not self._waiting and self._full_at <= micros_now() * self._rate.count

    def snapshot(self) -> _State:
        """What waits, and how full the bucket is."""
        return _State(self._waiting.packed(), self._full_at, self._rate.count)
