"""The step that makes one record of those of a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import Self

from flowspec.expressions import Expression
from flowspec.fields import Duration
from flowspec.model import SpecModel
from flowspec.stateful.aggregates import Aggregate
from flowspec.stateful.contract import Memory, StatefulStep
from flowspec.stateful.keys import key_of
from flowspec.stateful.times import micros, times_of

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.contract import Keyed, Keying
    from flowspec.stateful.windows import Shape

__all__ = ["SlidingWindows", "Window", "WindowOptions"]


class SlidingWindows(SpecModel):
    """Windows that overlap."""

    size: Annotated[Duration, Field(ge=0.001, description="How long each is.", examples=["10m"])]
    every: Annotated[Duration, Field(ge=0.001, description="How long after one the next begins.", examples=["1m"])]

    @model_validator(mode="after")
    def _overlap(self) -> Self:
        if self.every > self.size:
            msg = "every is longer than size: records between two windows would be in none"
            raise ValueError(msg)
        if self.size / self.every > _MOST_AT_ONCE:
            msg = f"each record would be in more than {_MOST_AT_ONCE:,} windows; make every longer, or size shorter"
            raise ValueError(msg)
        return self


_MOST_AT_ONCE = 1_000


class WindowOptions(SpecModel):
    """Which records a window has, and what is made of them."""

    key: Annotated[
        Expression | None,
        Field(
            description="Expression by which records are told apart: each key has windows of its own. Without it all "
            "records are together, on one worker.",
            examples=["customer_id"],
        ),
    ] = None
    tumbling: Annotated[
        Duration | None,
        Field(
            ge=0.001,
            description="Windows of that length, one after the other. They begin at its multiples since 1970, in UTC.",
            examples=["1m"],
        ),
    ] = None
    sliding: Annotated[
        SlidingWindows | None,
        Field(description="Windows that overlap.", examples=[{"size": "10m", "every": "1m"}]),
    ] = None
    session: Annotated[
        Duration | None,
        Field(
            ge=0.001,
            description="A window goes on for as long as its records are less than that apart.",
            examples=["30m"],
        ),
    ] = None
    time: Annotated[
        Expression | None,
        Field(
            description="Expression for the time of a record: a time, an ISO 8601 text, or seconds since 1970. Without "
            "it that is when the record comes to the step.",
            examples=["created_at"],
        ),
    ] = None
    lateness: Annotated[
        Duration,
        Field(
            ge=0,
            description="How much later than one with a later time a record may come. A window stays open for so long "
            "after its end; a record that comes after that is late, which is an error of the record.",
            examples=["30s"],
        ),
    ] = 0.0
    values: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Aggregate],
        Field(
            min_length=1,
            description="The values of a window, beside its `key`, `start` and `end`.",
            examples=[{"orders": "count", "total": {"sum": "amount"}, "slow": {"percentile": "ms", "at": 95}}],
        ),
    ]

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if [self.tumbling, self.sliding, self.session].count(None) != 2:  # noqa: PLR2004
            msg = "say one of tumbling, sliding and session"
            raise ValueError(msg)
        if self.time is None and self.lateness:
            msg = "lateness is for windows with a time: without it no record is late"
            raise ValueError(msg)
        if taken := {"key", "start", "end"} & set(self.values):
            msg = f"a window has a {min(taken)} already; call the value something else"
            raise ValueError(msg)
        return self


class Window(StatefulStep):
    """Make one record of those of each time, and of each key.

    Its body has `key`, `start` and `end` (ISO 8601, in UTC; the end is not in it) and the values, its External ID is
    key and start, and `meta` has `step`, `start` and `end`. The records themselves do not go on.

    A window is closed when a record of its key comes whose time is `lateness` after its end, or as much time has gone
    by. At the end of the data all are closed; a flow that is stopped goes on with them in its next run. Late records
    fail, so `on_error` decides about them. The time of a key is remembered for an hour at least after its last window.

    Windows are exact where the trigger resumes at a position: Kafka, and polling triggers. Others may hand over records
    twice after a crash; a `dedupe` before the window lets only one through.
    """

    kind = "window"

    window: Annotated[
        WindowOptions,
        Field(
            description="The windows, and what is made of each.",
            examples=[
                {"key": "customer_id", "tumbling": "1h", "time": "created_at", "values": {"total": {"sum": "amount"}}}
            ],
        ),
    ]

    def keying(self) -> Keying:
        """Key, time and values of each record."""
        options = self.window
        aggregates = list(options.values.values())

        def keying(records: list[Record]) -> list[Keyed]:
            keys = [None] * len(records) if options.key is None else options.key.values(records)
            texts = ["" if options.key is None else key_of(key) for key in keys]
            # Where no time is said, that is when a record comes to its windows.
            times = [None] * len(records) if options.time is None else times_of(options.time, records)
            columns = [
                [aggregate.checked(value) for value in aggregate.expression.values(records)] for aggregate in aggregates
            ]
            rows = zip(*columns, strict=True)
            return [
                (text, (record, (key, time, row)))
                for text, record, key, time, row in zip(texts, records, keys, times, rows, strict=True)
            ]

        return keying

    def memory(self, state: bytes | None, step: str) -> Memory[bytes]:
        """The windows of the key."""
        from flowspec.stateful.windows import Windows

        return Windows(state, step, self._shape(), micros(self.window.lateness), self.window.values)

    def _shape(self) -> Shape:
        from flowspec.stateful.windows import Sessions, Sliding

        options = self.window
        if options.session is not None:
            return Sessions(micros(options.session))
        if options.sliding is not None:
            return Sliding(micros(options.sliding.size), micros(options.sliding.every))
        size = micros(options.tumbling or 0)
        return Sliding(size, size)

    def basis(self) -> dict[str, Any]:
        """All but what may change while windows are open."""
        return self.window.model_dump(mode="json", exclude={"lateness"}, exclude_defaults=True)
