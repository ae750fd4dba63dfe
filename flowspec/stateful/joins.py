"""What a join remembers under a key: records of one side that wait for the other, or may be met by it."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from flowspec.errors import RecordError
from flowspec.records import Trace
from flowspec.stateful.contract import Memory
from flowspec.stateful.times import micros_now, seconds
from flowspec.stateful.waiting import packed, unpacked
from flowspec.steps.bodies import replaced

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.contract import Item, Outlet

__all__ = ["Latest", "Missing", "Pairs"]


class Missing(NamedTuple):
    """What becomes of a record that has met no other, and where what it has met is put."""

    policy: Literal["fail", "null", "drop"]
    key: str
    """What the key is an expression of, for people."""
    into: Sequence[str]


class _Kept(NamedTuple):
    """A record that is there for some time."""

    packed: bytes
    until: int
    """Microseconds since the epoch; in a snapshot, from then on: while the flow is stopped no time goes by."""
    is_other: bool = False
    has_met: bool = False

    def later(self, by: int) -> _Kept:
        """The same at another time."""
        return self._replace(until=self.until + by)


class _Joining(Memory[bytes]):
    """What both ways of joining have in common."""

    def __init__(self, missing: Missing) -> None:
        self._missing = missing

    def _joined(self, record: Record, body: Any) -> Record:
        return record.derive(replaced(record.body, self._missing.into, body))

    def _alone(self, records: Sequence[Record], outlet: Outlet) -> list[Record]:
        """What goes on of records that have met no other."""
        if self._missing.policy == "null":
            return [self._joined(record, None) for record in records]
        if self._missing.policy == "drop":
            outlet.drop(records)
            return []
        for record in records:
            outlet.fail(record, RecordError(f"there is no other record with the same {self._missing.key}"))
        return []


@dataclass
class _LatestState:
    body: Any = None
    is_known: bool = False
    waiting: list[_Kept] = field(default_factory=list)


class Latest(_Joining):
    """The last record of the other side, which each record of the flow is joined with."""

    def __init__(self, state: bytes | None, missing: Missing, wait: int) -> None:
        """Go on with a state; `wait` is for how many microseconds a record waits for a first one."""
        super().__init__(missing)
        self._wait = wait
        self._state: _LatestState = _LatestState() if state is None else pickle.loads(state)  # noqa: S301 - our own
        self._state.waiting = _later(self._state.waiting, micros_now())

    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        """Join with what is known, in the order in which they come."""
        state, now = self._state, micros_now()
        left = self.wake(outlet)
        others: list[Record] = []
        for record, is_other in items:
            if is_other:
                others.append(record)
                state.body, state.is_known = record.body, True
                left += [self._joined(unpacked(each.packed), record.body) for each in state.waiting]
                state.waiting = []
            elif state.is_known:
                left.append(self._joined(record, state.body))
            elif self._wait:
                try:
                    state.waiting.append(_Kept(packed(record), now + self._wait))
                except RecordError as error:
                    outlet.fail(record, error)
            else:
                left += self._alone([record], outlet)
        outlet.absorb(others)
        return left

    def again(self, record: Record) -> Record:
        """Joined with what is known now."""
        return self._joined(record, self._state.body)

    def due(self) -> float | None:
        """When the first of those that wait gives up."""
        return _first(self._state.waiting)

    def wake(self, outlet: Outlet) -> list[Record]:
        """Those whose time is over wait no longer."""
        over, self._state.waiting = _split(self._state.waiting, micros_now())
        return self._alone([unpacked(each.packed) for each in over], outlet)

    def end(self, outlet: Outlet) -> list[Record]:
        """Nothing is coming any more."""
        waiting, self._state.waiting = self._state.waiting, []
        return self._alone([unpacked(each.packed) for each in waiting], outlet)

    def is_empty(self) -> bool:
        """Whether neither side has left anything."""
        return not (self._state.is_known or self._state.waiting)

    def snapshot(self) -> bytes:
        """All of it, pickled: it goes on changing."""
        return pickle.dumps(replace(self._state, waiting=_later(self._state.waiting, -micros_now())))


class Pairs(_Joining):
    """The records of both sides that came within a time: each of the flow is joined with each of the other side.

    One of the flow may go on several times, so what goes on is a record of its own: where it fails later, it makes its
    way once more from behind the step.
    """

    def __init__(self, state: bytes | None, missing: Missing, within: int, step: str) -> None:
        """Go on with a state; `within` are the microseconds that may be between two records."""
        super().__init__(missing)
        self._within = within
        self._step = step
        self._near: list[_Kept] = [] if state is None else _later(pickle.loads(state), micros_now())  # noqa: S301 - our own
        """Those that may meet others still, in the order in which they came."""

    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        """Join with those that are near, in the order in which they come."""
        now = micros_now()
        left = self._forget(now, outlet)
        others: list[Record] = []
        for record, is_other in items:
            try:
                kept = _Kept(packed(record), now + self._within, is_other)
            except RecordError as error:
                outlet.fail(record, error)
                continue
            met = [unpacked(each.packed) for each in self._near if each.is_other != is_other]
            if is_other:
                others.append(record)
                left += [self._joined(each, record.body) for each in met]
            else:
                left += [self._joined(record, each.body) for each in met]
            self._near = [each._replace(has_met=each.has_met or each.is_other != is_other) for each in self._near]
            self._near.append(kept._replace(has_met=bool(met)))
        outlet.absorb(others)
        return left

    def _joined(self, record: Record, body: Any) -> Record:
        joined = super()._joined(record, body)
        joined.trace = replace(record.trace or Trace(), body=joined.body, part=(), after=self._step, letter=None)
        return joined

    def _forget(self, now: float, outlet: Outlet) -> list[Record]:
        """Let go of those that can meet no other any more."""
        over, self._near = _split(self._near, now)
        return self._alone([unpacked(each.packed) for each in over if not (each.is_other or each.has_met)], outlet)

    def due(self) -> float | None:
        """When the first of them can meet no other any more."""
        return _first(self._near)

    def wake(self, outlet: Outlet) -> list[Record]:
        """Let go of those whose time is over."""
        return self._forget(micros_now(), outlet)

    def end(self, outlet: Outlet) -> list[Record]:
        """Nothing is coming any more."""
        return self._forget(float("inf"), outlet)

    def is_empty(self) -> bool:
        """Whether nobody is waiting."""
        return not self._near

    def snapshot(self) -> bytes:
        """All of it, pickled: it goes on changing."""
        return pickle.dumps(_later(self._near, -micros_now()))


def _later(kept: Iterable[_Kept], by: int) -> list[_Kept]:
    return [each.later(by) for each in kept]


def _split(kept: Iterable[_Kept], now: float) -> tuple[list[_Kept], list[_Kept]]:
    """Those whose time is over, and the others. The first is not always the first to go: a clock may be set back."""
    over: list[_Kept] = []
    rest: list[_Kept] = []
    for each in kept:
        (over if each.until <= now else rest).append(each)
    return over, rest


def _first(kept: Sequence[_Kept]) -> float | None:
    """When the time of the first of them is over."""
    return seconds(min(each.until for each in kept)) if kept else None
