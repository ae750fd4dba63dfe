"""schedule / tick: starts a flow by the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from flowspec.errors import FatalError
from flowspec.polling import Cron, Page, PollingTrigger
from flowspec.polling.interval import ClockSchedule, Every, Interval
from flowspec.records import Record

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.polling import Cursor

__all__ = ["Tick"]

_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


class Tick(PollingTrigger):
    """Tick: starts the flow every so often, or by a cron expression, with one record each time.

    At-least-once: a tick that was not delivered comes again. Those of an interval are its multiples since the beginning
    of 1970, UTC, so that they are the same after a restart: `1h` is each full hour.

    The body of a record has `time`, when the tick was due, in the time zone of the cron expression or else in UTC.
    `meta` has `late`, the seconds by which it came later than that.
    """

    connector: Annotated[Literal["schedule"], Field(description="The clock.", examples=["schedule"])] = "schedule"
    event: Annotated[Literal["tick"], Field(description="Each time that is due.", examples=["tick"])] = "tick"
    account: Annotated[None, Field(description="Needs no account.", examples=[None])] = None
    interval: Annotated[
        Interval,
        Field(
            description="How long from one tick to the next, or an object with a `cron` expression.",
            examples=["1h", {"cron": "0 6 * * MON-FRI", "time_zone": "Europe/Madrid"}],
        ),
    ] = 60.0
    missed: Annotated[
        Literal["skip", "once", "all"],
        Field(
            description="What becomes of ticks that were due while the flow did not run or could not keep up: they are "
            "skipped, come together as one, or come one by one.",
            examples=["once"],
        ),
    ] = "skip"
    since: Annotated[
        Literal["now"] | AwareDatetime,
        Field(
            description="From when on ticks are due for a flow that has no saved cursor.",
            examples=["2024-05-01T00:00:00Z"],
        ),
    ] = "now"

    def times(self) -> Cron | Every:
        """When ticks are due."""
        return self.interval if isinstance(self.interval, Cron) else Every(self.interval)

    def schedule(self) -> ClockSchedule:
        """Polls are due when ticks are."""
        return ClockSchedule(self.times())

    def cursor_basis(self) -> dict[str, Any]:
        """A cursor is a time, whatever the interval is."""
        return {}

    def identity(self, record: Record) -> str | None:
        """When the tick was due."""
        return str(orjson.loads(record.raw)["time"])

    def check(self) -> str:
        """A clock is always there; says when the next tick is due."""
        return f"nothing to check: the clock needs no connection; the next tick is due at {_next(self.times())}"

    def poller(self, since: Any, context: WorkerContext) -> _Clock:
        """What looks at the clock."""
        return _Clock(self, since)


class _Clock:
    """The poller of ticks."""

    def __init__(self, trigger: Tick, since: Any) -> None:
        self._times = trigger.times()
        self._missed = trigger.missed
        self._since = since
        self._began = datetime.now(timezone.utc)
        interval = trigger.interval
        self.what = f"ticks of {interval.cron if isinstance(interval, Cron) else f'{interval:g} s'}"

    def poll(self, cursor: Cursor | None, most: int) -> Page:
        """The ticks that are due."""
        now = datetime.now(timezone.utc)
        last = self._last(cursor)
        if last is None:
            return Page([], now.isoformat())
        ticks = list(islice(self._due(last, now), most + 1))
        records = [self._record(tick, now) for tick in ticks[:most]]
        return Page(
            records,
            ticks[:most][-1].isoformat() if records else cursor,
            more=len(ticks) > most,
            part=lambda count: ticks[count - 1].isoformat(),
        )

    def cancel(self) -> None:
        """Nothing takes time here."""

    def close(self) -> None:
        """Nothing is held."""

    def _last(self, cursor: Cursor | None) -> datetime | None:
        """The last tick that came, or since when they are due."""
        since = self._since if cursor is None else cursor
        try:
            return None if since == "now" else _TIME.validate_python(since)
        except ValidationError:
            msg = f"{since!r} is not a time; write one like '2024-05-01T00:00:00Z', or 'now'"
            raise FatalError(msg) from None

    def _due(self, last: datetime, now: datetime) -> Iterator[datetime]:
        if self._missed == "all":
            tick = self._times.after(last)
            while tick <= now:
                yield tick
                tick = self._times.after(tick)
            return
        # A tick of this very moment counts, and clocks do not tell more than microseconds apart.
        tick = self._times.before(now + timedelta(microseconds=1))
        if tick > last and (self._missed == "once" or tick > self._began):
            yield tick

    @staticmethod
    def _record(tick: datetime, now: datetime) -> Record:
        body = {"time": tick.isoformat()}
        return Record(orjson.dumps(body), body, {"late": round((now - tick).total_seconds(), 6)})


def _next(times: Cron | Every) -> str:
    return times.after(datetime.now(timezone.utc)).isoformat(timespec="seconds")
