"""The windows of one key: which there are, what is in them, and when they are closed.

Bytewax's own windowing operators do not do: their clock closes windows by the time that went by since the last record,
also while a sink is down, so that records are late that were only held up; they forget the time of a key with its last
window, so that a late record opens that once more; and at the end of every run they close all windows.
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowspec.errors import RecordError
from flowspec.stateful.contract import Memory
from flowspec.stateful.keys import key_of
from flowspec.stateful.made import made_of_many
from flowspec.stateful.times import SECOND, micros_now, seconds, text_of

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.aggregates import Aggregate, Cell
    from flowspec.stateful.contract import Item, Outlet

__all__ = ["Sessions", "Shape", "Sliding", "Windows"]

_STALL = SECOND
"""A wake-up that is later than that comes of a flow that was held up: what it waits for was held up as well."""
_SHORTEST_MEMORY = 3600 * SECOND
"""How long the time of a key is remembered at least after its last window: what comes later opens a new one."""


@dataclass
class Window:
    """One window of one key."""

    start: int
    end: int
    """The first moment that is not in it."""
    cells: list[Cell]


class Shape(ABC):
    """How time is divided into windows."""

    longest: int
    """How many microseconds a window has, as far as that can be said."""

    @abstractmethod
    def place(self, time: int, windows: Mapping[int, Window], watermark: int | None) -> list[tuple[int, int]]:
        """Start and end of the windows that a record belongs to, of those that are not closed."""

    @abstractmethod
    def overlapping(self, start: int, end: int, windows: Mapping[int, Window]) -> list[Window]:
        """The windows that are one with that one."""


class Sliding(Shape):
    """A window begins at every multiple of a time; where it is as long as that, windows do not overlap: they tumble."""

    def __init__(self, size: int, every: int) -> None:
        self._size, self._every = size, every
        self.longest = size

    def place(self, time: int, windows: Mapping[int, Window], watermark: int | None) -> list[tuple[int, int]]:
        """All that a time is in."""
        last = time - time % self._every
        placed = [(start, start + self._size) for start in range(last, time - self._size, -self._every)]
        return [each for each in reversed(placed) if watermark is None or each[1] > watermark]

    def overlapping(self, start: int, end: int, windows: Mapping[int, Window]) -> list[Window]:
        """The window itself."""
        return [windows[start]] if start in windows else []


class Sessions(Shape):
    """Records belong together that are less than a time apart, directly or over others."""

    def __init__(self, gap: int) -> None:
        self._gap = gap
        self.longest = gap

    def place(self, time: int, windows: Mapping[int, Window], watermark: int | None) -> list[tuple[int, int]]:
        """The one that it is in, if it is not over."""
        end = time + self._gap
        is_over = watermark is not None and end <= watermark and not self.overlapping(time, end, windows)
        return [] if is_over else [(time, end)]

    def overlapping(self, start: int, end: int, windows: Mapping[int, Window]) -> list[Window]:
        """All that are near enough."""
        return [window for window in windows.values() if start < window.end and window.start < end]


@dataclass
class _State:
    key: Any = None
    windows: dict[int, Window] = field(default_factory=dict)
    """By their starts."""
    watermark: int | None = None
    """No record before that time is waited for; None before the first record."""
    used_at: int = 0
    """When the last record came, or the last window was closed."""


class Windows(Memory[bytes]):
    """The windows of one key."""

    def __init__(
        self, state: bytes | None, step: str, shape: Shape, lateness: int, values: Mapping[str, Aggregate]
    ) -> None:
        """Go on with a state.

        Args:
            state: What `snapshot` answered; None at the start.
            step: Id of the step.
            shape: How time is divided.
            lateness: How many microseconds later than a later one a record may come.
            values: What is made of a window.
        """
        self._step, self._shape, self._lateness, self._values = step, shape, lateness, values
        self._state: _State = _State() if state is None else pickle.loads(state)  # noqa: S301 - our own
        self._moved_at = micros_now()
        """When the watermark was moved last; the time that goes by since then moves it as well."""

    def take(self, items: list[Item], outlet: Outlet) -> list[Record]:
        """Add records to their windows, in the order in which they come."""
        state, now = self._state, micros_now()
        state.used_at = now
        taken: list[Record] = []
        made: list[Record] = []
        for record, (key, said, values) in items:
            state.key = key
            time = max(now, state.watermark or 0) if said is None else said
            placed = self._shape.place(time, state.windows, state.watermark)
            if not placed:
                after = text_of(state.watermark or 0)
                msg = f"late: its time is {text_of(time)}, and its windows were closed when it was {after}"
                outlet.fail(record, RecordError(msg))
                continue
            for start, end in placed:
                window = self._window(start, end)
                for cell, value in zip(window.cells, values, strict=True):
                    cell.add(value, time)
            taken.append(record)
            made += self._move_to(time - self._lateness, now)
        outlet.absorb(taken)
        return made

    def _window(self, start: int, end: int) -> Window:
        """The window of that time; those that overlap become one."""
        windows = self._state.windows
        near = self._shape.overlapping(start, end, windows)
        window = near[0] if near else Window(start, end, [each.cell() for each in self._values.values()])
        for other in near:
            del windows[other.start]
            start, end = min(start, other.start), max(end, other.end)
        for other in near[1:]:
            for cell, more in zip(window.cells, other.cells, strict=True):
                cell.merge(more)
        window.start, window.end = start, end
        windows[start] = window
        return window

    def _move_to(self, watermark: int, now: int) -> list[Record]:
        """Close the windows that end before a time."""
        state = self._state
        if state.watermark is not None and watermark <= state.watermark:
            return []
        state.watermark, self._moved_at = watermark, now
        return self._close([window for window in state.windows.values() if window.end <= watermark])

    def _close(self, windows: list[Window]) -> list[Record]:
        for window in windows:
            del self._state.windows[window.start]
        return [self._made(window) for window in sorted(windows, key=lambda each: (each.end, each.start))]

    def _made(self, window: Window) -> Record:
        key, start, end = self._state.key, text_of(window.start), text_of(window.end)
        text = "" if key is None else key_of(key)
        results = {name: cell.result() for name, cell in zip(self._values, window.cells, strict=True)}
        body = {**({} if key is None else {"key": key}), "start": start, "end": end, **results}
        external_id = f"{text}/{start}" if text else start
        return made_of_many(body, self._step, text, external_id, {"start": start, "end": end})

    def due(self) -> float | None:
        """When the next window ends, if time goes by as it does here; or when the key is forgotten."""
        return seconds(self._due())

    def _due(self) -> int:
        state = self._state
        if not state.windows:
            return state.used_at + max(self._shape.longest + self._lateness, _SHORTEST_MEMORY)
        end = min(window.end for window in state.windows.values())
        return self._moved_at + max(0, end - (state.watermark or 0))

    def wake(self, outlet: Outlet) -> list[Record]:
        """Close the windows that are over by the time that went by."""
        state, now = self._state, micros_now()
        if not state.windows or state.watermark is None:
            return []
        late = now - self._due()
        if late > _STALL:
            self._moved_at += late
        if late < 0 or late > _STALL:
            return []
        state.used_at = now
        return self._move_to(state.watermark + now - self._moved_at, now)

    def end(self, outlet: Outlet) -> list[Record]:
        """Close them all."""
        windows = list(self._state.windows.values())
        if windows:
            self._state.watermark = max(self._state.watermark or 0, *(window.end for window in windows))
        return self._close(windows)

    def is_empty(self) -> bool:
        """Whether nothing of the key has to be remembered."""
        return not self._state.windows and micros_now() >= self._due()

    def snapshot(self) -> bytes:
        """All of it, pickled: the windows go on changing."""
        return pickle.dumps(self._state)
