"""A value of one key that changes with each of its records."""

from __future__ import annotations

import pickle
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from flowspec.errors import RecordError
from flowspec.stateful.contract import Memory
from flowspec.stateful.times import micros_now, seconds
from flowspec.steps.bodies import replaced

if TYPE_CHECKING:
    from flowspec.expressions import Expression
    from flowspec.records import Record
    from flowspec.stateful.contract import Item, Outlet

__all__ = ["Counted", "Reduced"]

_LARGEST = 1_000_000
"""Bytes of a value: it is stored again with each change, and one that grows with each record would grow for ever."""
_WORD = 2**63


_State: TypeAlias = "tuple[Any, int]"
"""The value, and when the last record came; there may be millions of them."""


class _Running(Memory[_State]):
    """What counting and reducing have in common."""

    def __init__(self, state: _State | None, start: Any, into: Sequence[str], forget: int | None) -> None:
        """Go on with a state.

        Args:
            state: What `snapshot` answered; None at the start.
            start: The value before the first record.
            into: The field of the body for the value.
            forget: After how many microseconds without a record the key is forgotten; None for never.
        """
        self._is_known = state is not None
        self._value, self._used_at = state or (start, 0)
        self._start, self._into, self._forget = start, into, forget

    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        """Have each record go on with the value that it led to."""
        now = micros_now()
        if self._is_over(now):
            self._value, self._is_known = self._start, False
        left: list[Record] = []
        for record, _ in items:
            try:
                self._value = self._next(record)
            except RecordError as error:
                outlet.fail(record, error)
            else:
                self._is_known, self._used_at = True, now
                left.append(self.again(record))
        return left

    @abstractmethod
    def _next(self, record: Record) -> Any:
        """The value after a record.

        Raises:
            RecordError: there is none.
        """

    def again(self, record: Record) -> Record:
        """With the value as it is now: the record is in it."""
        record.body = replaced(record.body, self._into, self._value)
        return record

    def _is_over(self, now: int) -> bool:
        return self._forget is not None and now >= self._used_at + self._forget

    def due(self) -> float | None:
        """When the key is forgotten."""
        return None if self._forget is None else seconds(self._used_at + self._forget)

    def is_empty(self) -> bool:
        """Whether no record of the key has come for so long that it is forgotten."""
        return not self._is_known or self._is_over(micros_now())

    def snapshot(self) -> _State:
        """The value, which is never changed: expressions make new ones."""
        return self._value, self._used_at


class Counted(_Running):
    """How many records of one key there were."""

    def __init__(self, state: _State | None, into: Sequence[str], forget: int | None) -> None:
        """Go on with a state, or with none."""
        super().__init__(state, 0, into, forget)

    def _next(self, record: Record) -> int:
        count: int = self._value
        return count + 1


class Reduced(_Running):
    """What an expression makes of the value before and a record."""

    def __init__(
        self, state: _State | None, start: Any, expression: Expression, into: Sequence[str], forget: int | None
    ) -> None:
        """Go on with a state, or at the start."""
        super().__init__(state, start, into, forget)
        self._expression = expression

    def _next(self, record: Record) -> Any:
        seen = record.derive({"state": self._value, "record": record.body})
        (value,) = self._expression.values([seen])
        _check(value)
        return value


def _check(value: Any) -> None:
    """See that a value can be kept.

    Raises:
        RecordError: it is too large, or cannot be stored.
    """
    if value is None or isinstance(value, float) or (isinstance(value, int) and -_WORD <= value < _WORD):
        return
    try:
        size = len(pickle.dumps(value))
    except Exception as error:
        msg = f"the value cannot be remembered, for there is something in it that cannot be stored: {error}"
        raise RecordError(msg) from error
    if size > _LARGEST:
        msg = (
            f"the value would have {size:,} bytes, and {_LARGEST:,} can be remembered for a key; it stays as it was. "
            f"To gather records, use a batch or a window"
        )
        raise RecordError(msg)
