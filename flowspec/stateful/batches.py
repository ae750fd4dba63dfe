"""The batch of one key that is being gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowspec.errors import RecordError
from flowspec.stateful.contract import Memory
from flowspec.stateful.made import made_of_many
from flowspec.stateful.times import micros_now, seconds, text_of
from flowspec.stateful.waiting import Waiting

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.contract import Item, Outlet

__all__ = ["Batch", "Bounds"]

_BRACKET = 1


@dataclass(frozen=True)
class Bounds:
    """When a batch is full, or over; None where that is no matter."""

    count: int | None
    size: int | None
    """Bytes of the list of the bodies, as JSON."""
    time: int | None
    """Microseconds from its first record on."""


@dataclass
class _State:
    waiting: tuple[bytes, ...] = ()
    size: int = 0
    first: int = 0
    """When the first of them came."""
    last: int = 0
    key: str = ""


class Batch(Memory[_State]):
    """The batch of one key."""

    def __init__(self, state: _State | None, bounds: Bounds, step: str | None) -> None:
        """Go on with a state.

        Args:
            state: What `snapshot` answered; None at the start.
            bounds: When the batch goes on.
            step: Id of the step, where it makes one record of a batch; None where the records go on as they are.
        """
        state = state or _State()
        self._bounds, self._step = bounds, step
        self._waiting = Waiting(state.waiting)
        self._fresh: list[tuple[Record, int]] = []
        """Those that came just now, with their sizes: most go on before anything has to be stored."""
        self._size, self._first, self._last, self._key = state.size, state.first, state.last, state.key

    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        """Gather records, in the order in which they come."""
        now = micros_now()
        left = self._let_go() if self._is_over(now) else []
        for record, (key, size) in items:
            if self._bounds.size is not None and self._size + size > self._bounds.size:
                left += self._let_go()
            if not self._count():
                self._size, self._first, self._key = _BRACKET, now, key
            self._fresh.append((record, size))
            self._size += size
            self._last = now
            if self._is_full():
                left += self._let_go()
        failed = self._keep(outlet)
        if self._step is not None:
            outlet.absorb([record for record, _ in items if id(record) not in failed])
        return left

    def _count(self) -> int:
        return len(self._waiting) + len(self._fresh)

    def _is_full(self) -> bool:
        count, size = self._bounds.count, self._bounds.size
        return (count is not None and self._count() >= count) or (size is not None and self._size >= size)

    def _is_over(self, now: int) -> bool:
        return self._bounds.time is not None and now >= self._first + self._bounds.time

    def _keep(self, outlet: Outlet) -> set[int]:
        """Have those wait that came and did not go on; answers which cannot."""
        failed = set()
        for record, size in self._fresh:
            try:
                self._waiting.add(record)
            except RecordError as error:
                failed.add(id(record))
                self._size -= size
                outlet.fail(record, error)
        self._fresh = []
        return failed

    def _let_go(self) -> list[Record]:
        gathered = self._waiting.taken(len(self._waiting)) + [record for record, _ in self._fresh]
        self._fresh = []
        if not gathered or self._step is None:
            return gathered
        meta: dict[str, Any] = {"count": len(gathered), "first": text_of(self._first), "last": text_of(self._last)}
        bodies = [record.body for record in gathered]
        return [made_of_many(bodies, self._step, self._key, _common_id(gathered), meta)]

    def due(self) -> float | None:
        """When the batch is over."""
        if self._bounds.time is None or not self._waiting:
            return None
        return seconds(self._first + self._bounds.time)

    def wake(self, outlet: Outlet) -> list[Record]:
        """Let the batch go if it is over."""
        return self._let_go() if self._is_over(micros_now()) else []

    def end(self, outlet: Outlet) -> list[Record]:
        """Let it go: nothing is coming any more that could fill it."""
        return self._let_go()

    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def snapshot(self) -> _State:
        """What waits, and since when."""
        return _State(self._waiting.packed(), self._size, self._first, self._last, self._key)


def _common_id(records: Sequence[Record]) -> str | None:
    """The External ID that all have."""
    ids = {record.external_id for record in records}
    return ids.pop() if len(ids) == 1 else None
