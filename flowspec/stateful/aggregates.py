"""What a window makes of the values in it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import Self

from flowspec.errors import RecordError
from flowspec.expressions import Expression
from flowspec.model import SpecModel

__all__ = ["Aggregate", "Cell"]


class Aggregate(SpecModel):
    """One value of a window: an object with one key, which says what is made of the values of an expression.

    Values that are null are left out, but by `count`, `first`, `last` and `collect`.
    """

    count: Annotated[
        Expression | None,
        Field(description="How many records there are for which this is true.", examples=["status == 'paid'"]),
    ] = None
    sum: Annotated[Expression | None, Field(description="The sum of numbers.", examples=["amount"])] = None
    avg: Annotated[Expression | None, Field(description="The average of numbers.", examples=["amount"])] = None
    min: Annotated[
        Expression | None,
        Field(description="The least of numbers, texts or times, in that order.", examples=["amount"]),
    ] = None
    max: Annotated[
        Expression | None,
        Field(description="The greatest of numbers, texts or times, in that order.", examples=["amount"]),
    ] = None
    first: Annotated[
        Expression | None, Field(description="The value of the record with the earliest time.", examples=["status"])
    ] = None
    last: Annotated[
        Expression | None, Field(description="The value of the record with the latest time.", examples=["status"])
    ] = None
    collect: Annotated[
        Expression | None, Field(description="A list of all values, in the order of their times.", examples=["sku"])
    ] = None
    percentile: Annotated[
        Expression | None,
        Field(
            description="The number below which a share of the numbers is, interpolated between two of them.",
            examples=["milliseconds"],
        ),
    ] = None
    at: Annotated[
        float | None, Field(ge=0, le=100, description="The share of a `percentile`, in per cent.", examples=[95])
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"count": True} if value == "count" else value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self._kinds()) != 1:
            msg = f"say one thing that is made of the values: 'count', or an object with one of {', '.join(_CELLS)}"
            raise ValueError(msg)
        if (self.percentile is None) != (self.at is None):
            msg = 'a percentile is written as {"percentile": "milliseconds", "at": 95}'
            raise ValueError(msg)
        return self

    def _kinds(self) -> list[str]:
        return [kind for kind in _CELLS if getattr(self, kind) is not None]

    @property
    def expression(self) -> Expression:
        """What is computed of each record."""
        expression: Expression = getattr(self, self._kinds()[0])
        return expression

    def cell(self) -> Cell:
        """What keeps the value of one window, empty."""
        (kind,) = self._kinds()
        return _Percentile(self.at or 0.0) if kind == "percentile" else _CELLS[kind]()

    def checked(self, value: Any) -> Any:
        """A value as a cell takes it.

        Raises:
            RecordError: it cannot be a part of this.
        """
        (kind,) = self._kinds()
        numbers = kind in ("sum", "avg", "percentile")
        allowed = _NUMBERS if numbers else (*_NUMBERS, str, datetime)
        if value is None or kind in ("count", "first", "last", "collect"):
            return value
        if isinstance(value, bool) or not isinstance(value, allowed):
            what = "a number" if numbers else "a number, text or time"
            msg = f"{kind} needs {what}, and {self.expression.source} is {value!r:.100}"
            raise RecordError(msg)
        if isinstance(value, (float, Decimal)) and not math.isfinite(value):
            msg = f"{kind} needs a finite number, and {self.expression.source} is {value}"
            raise RecordError(msg)
        return value


_NUMBERS = (int, float, Decimal)


class Cell(ABC):
    """One value of one window as it grows. It is pickled with the state."""

    __slots__ = ()

    @abstractmethod
    def add(self, value: Any, time: int) -> None:
        """Add the value of a record of that time."""

    @abstractmethod
    def merge(self, other: Any) -> None:
        """Add all that another one has, whose records came later."""

    @abstractmethod
    def result(self) -> Any:
        """The value of the window."""


class _Count(Cell):
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, value: Any, time: int) -> None:
        self.count += bool(value)

    def merge(self, other: _Count) -> None:
        self.count += other.count

    def result(self) -> int:
        return self.count


class _Sum(Cell):
    __slots__ = ("count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total: Any = 0

    def add(self, value: Any, time: int) -> None:
        if value is not None:
            self.count += 1
            self.total = _plus(self.total, value)

    def merge(self, other: _Sum) -> None:
        self.count += other.count
        self.total = _plus(self.total, other.total)

    def result(self) -> Any:
        return self.total


class _Average(_Sum):
    __slots__ = ()

    def result(self) -> Any:
        return self.total / self.count if self.count else None


class _Least(Cell):
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = None

    def add(self, value: Any, time: int) -> None:
        if value is not None and (self.value is None or self._is_better(value)):
            self.value = value

    def _is_better(self, value: Any) -> bool:
        return _rank(value) < _rank(self.value)

    def merge(self, other: _Least) -> None:
        self.add(other.value, 0)

    def result(self) -> Any:
        return self.value


class _Greatest(_Least):
    __slots__ = ()

    def _is_better(self, value: Any) -> bool:
        return _rank(value) > _rank(self.value)


class _First(Cell):
    __slots__ = ("time", "value")

    def __init__(self) -> None:
        self.time: int | None = None
        self.value: Any = None

    def add(self, value: Any, time: int) -> None:
        if self.time is None or self._is_better(time):
            self.time, self.value = time, value

    def _is_better(self, time: int) -> bool:
        return time < (self.time or 0)

    def merge(self, other: _First) -> None:
        if other.time is not None:
            self.add(other.value, other.time)

    def result(self) -> Any:
        return self.value


class _Last(_First):
    __slots__ = ()

    def _is_better(self, time: int) -> bool:
        return time >= (self.time or 0)


class _Collected(Cell):
    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[tuple[int, Any]] = []

    def add(self, value: Any, time: int) -> None:
        self.values.append((time, value))

    def merge(self, other: _Collected) -> None:
        self.values += other.values

    def result(self) -> list[Any]:
        return [value for _, value in sorted(self.values, key=lambda each: each[0])]


class _Percentile(Cell):
    __slots__ = ("at", "values")

    def __init__(self, at: float) -> None:
        self.at = at
        self.values: list[Any] = []

    def add(self, value: Any, time: int) -> None:
        if value is not None:
            self.values.append(value)

    def merge(self, other: _Percentile) -> None:
        self.values += other.values

    def result(self) -> float | None:
        if not self.values:
            return None
        ordered = sorted(map(float, self.values))
        place = self.at / 100 * (len(ordered) - 1)
        below = math.floor(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


_CELLS: dict[str, Any] = {
    "count": _Count,
    "sum": _Sum,
    "avg": _Average,
    "min": _Least,
    "max": _Greatest,
    "first": _First,
    "last": _Last,
    "collect": _Collected,
    "percentile": _Percentile,
}


def _rank(value: Any) -> tuple[int, Any]:
    """What values of different types are compared by: numbers come before texts, and these before times."""
    if isinstance(value, datetime):
        return 2, value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    return int(isinstance(value, str)), value


def _plus(one: Any, other: Any) -> Any:
    # Python adds no floats to decimals.
    if isinstance(one, float) != isinstance(other, float):
        if isinstance(one, Decimal):
            one = float(one)
        if isinstance(other, Decimal):
            other = float(other)
    return one + other
