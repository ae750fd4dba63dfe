"""Showing how a run gets on: a live table, a JSON object each second, and a summary at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import orjson
from typing_extensions import Self

from pipelines.snapshot import EndState, Snapshot

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Rate", "Status", "StatusMode", "as_json", "summary"]

StatusMode: TypeAlias = Literal["auto", "live", "json", "off"]

_RATE_OVER = 3.0
"""Seconds that the rate is an average of."""


class Status:
    """Shows a run on stderr, from a thread of its own, while the block lasts."""

    def __init__(self, mode: StatusMode, look: Callable[[], Snapshot]) -> None:
        """Show a run.

        Args:
            mode: How; `auto` is `live` on a terminal and `off` otherwise.
            look: Gives the run as it is.
        """
        if mode == "auto":
            mode = "live" if sys.stderr.isatty() else "off"
        self.is_live = mode == "live"
        self._display = _DISPLAYS[mode]()
        self._look = look
        self._rate = Rate()
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="status", daemon=True)

    def __enter__(self) -> Self:
        self._display.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def finish(self, snapshot: Snapshot) -> None:
        """Show how the run ended; nothing is shown after it."""
        self._leave()
        seconds = time.monotonic() - self._started
        self._display.end(snapshot, snapshot.tally.received / seconds, seconds)

    def _leave(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            # Nothing may keep a run that gives up from ending.
            self._thread.join(1.0)
            self._display.stop()

    def _show(self) -> None:
        while not self._ended.wait(self._display.period):
            snapshot = self._look()
            self._display.show(snapshot, self._rate.after(snapshot.tally.received), time.monotonic() - self._started)


class Rate:
    """Records per second over the last seconds; safe to use from any thread."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._lock = threading.Lock()

    def after(self, received: int) -> float:
        """The rate when so many records have been received, by what was said before."""
        with self._lock:
            now = time.monotonic()
            self._seen.append((now, received))
            while len(self._seen) > 2 and now - self._seen[1][0] >= _RATE_OVER:  # noqa: PLR2004 - both ends
                self._seen.popleft()
            since, before = self._seen[0]
        return (received - before) / (now - since) if now > since else 0.0


class _Display(Protocol):
    period: float
    """Seconds between two looks."""

    def start(self) -> None: ...

    def show(self, snapshot: Snapshot, rate: float, seconds: float) -> None: ...

    def stop(self) -> None: ...

    def end(self, snapshot: Snapshot, rate: float, seconds: float) -> None: ...


class _Off:
    period = 3600.0

    def start(self) -> None:
        """Nothing is shown before the end."""

    def show(self, snapshot: Snapshot, rate: float, seconds: float) -> None:
        """Nothing is shown before the end."""

    def stop(self) -> None:
        """Nothing was begun."""

    def end(self, snapshot: Snapshot, rate: float, seconds: float) -> None:
        _print(summary(snapshot, seconds))


class _Json(_Off):
    period = 1.0

    def show(self, snapshot: Snapshot, rate: float, seconds: float) -> None:
        _print(orjson.dumps(as_json(snapshot, rate), option=orjson.OPT_UTC_Z).decode())

    def end(self, snapshot: Snapshot, rate: float, seconds: float) -> None:
        self.show(snapshot, rate, seconds)


class _Live(_Off):
    period = 0.25

    def start(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # What others write to stderr meanwhile is printed above the table; stdout belongs to the flow.
        console = Console(file=sys.stderr, highlight=False)
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()

    def show(self, snapshot: Snapshot, rate: float, seconds: float) -> None:
        self._live.update(_table(snapshot, rate, seconds), refresh=True)

    def stop(self) -> None:
        self._live.stop()


_DISPLAYS: dict[str, Callable[[], _Display]] = {"live": _Live, "json": _Json, "off": _Off}


def summary(snapshot: Snapshot, seconds: float) -> str:
    """The run in one line."""
    tally = snapshot.tally
    more = ", ".join(f"{name} {count}" for name, count in _rarities(snapshot).items() if count)
    return (
        f"{snapshot.flow}: received {tally.received}, delivered {tally.delivered}, filtered {tally.filtered}, "
        f"failed {tally.failed} in {seconds:.1f} s" + (f" ({more})" if more else "")
    )


def as_json(snapshot: Snapshot, rate: float) -> dict[str, Any]:
    """The run as the objects of `--status json` have it; latencies are seconds, and null before the first."""
    tally, failure = snapshot.tally, snapshot.last_failure
    ends = {name: _end_as_json(end) for name, end in snapshot.ends.items()}
    return {
        "flow": snapshot.flow,
        "time": datetime.now(timezone.utc),
        "state": snapshot.state,
        "workers": snapshot.workers,
        "received": tally.received,
        "delivered": tally.delivered,
        "filtered": tally.filtered,
        "failed": tally.failed,
        "dead_letters": tally.dead_letters,
        "retried": tally.retried,
        "absorbed": tally.absorbed,
        "in_flight": tally.in_flight,
        "rate": round(rate, 1),
        "latency_p50": tally.latencies.quantile(0.5),
        "latency_p99": tally.latencies.quantile(0.99),
        "trigger": ends.pop("trigger", _end_as_json(EndState())),
        "sinks": ends,
        "restarts": snapshot.restarts,
        "last_failure": failure and {"reason": failure.reason, "at": _as_time(failure.at)},
        "error": snapshot.error,
    }


def _rarities(snapshot: Snapshot) -> dict[str, int]:
    """What most runs have none of, so that people are only told where there is something."""
    tally = snapshot.tally
    return {
        "absorbed": tally.absorbed,
        "dead letters": tally.dead_letters,
        "retried": tally.retried,
        "restarts": snapshot.restarts,
    }


def _end_as_json(end: EndState) -> dict[str, Any]:
    poll = end.last_poll
    return {
        "state": end.state,
        "reason": end.reason,
        "since": _as_time(end.since),
        "retries": end.retries,
        "lag": end.lag,
        "last_poll": poll and {**asdict(poll), "at": _as_time(poll.at)},
    }


def _as_time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def _table(snapshot: Snapshot, rate: float, seconds: float) -> RenderableType:
    from rich.markup import escape
    from rich.table import Table

    tally = snapshot.tally
    table = Table.grid(padding=(0, 2))
    workers = f", {snapshot.workers} workers" if snapshot.workers > 1 else ""
    table.add_row(f"[bold]{snapshot.flow}[/bold]", f"{snapshot.state} for {seconds:.0f} s{workers}")
    table.add_row("received", f"{tally.received:,}  [dim]({rate:,.0f}/s, {tally.in_flight:,} in flight)[/dim]")
    table.add_row("delivered", f"{tally.delivered:,}")
    table.add_row("filtered", f"{tally.filtered:,}")
    table.add_row("failed", f"[red]{tally.failed:,}[/red]" if tally.failed else "0")
    for name, count in _rarities(snapshot).items():
        if count:
            table.add_row(name, f"{count:,}" if name == "absorbed" else f"[red]{count:,}[/red]")
    if snapshot.last_failure is not None:
        table.add_row("failure", f"[red]{escape(snapshot.last_failure.reason)}[/red]")
    p50, p99 = (_short(tally.latencies.quantile(share)) for share in (0.5, 0.99))
    table.add_row("latency", f"p50 {p50}, p99 {p99}")
    for name, end in snapshot.ends.items():
        table.add_row(name, _end_as_text(end))
    return table


_COLORS = {"up": "green", "starting": "yellow", "down": "red"}


def _end_as_text(end: EndState) -> str:
    from rich.markup import escape

    reason = "" if end.reason is None else f" ({end.retries} tries) {escape(end.reason)}"
    lag = "" if end.lag is None else f"  [dim]({end.lag:,} behind)[/dim]"
    poll = end.last_poll
    polled = "" if poll is None else f"  [dim]({poll.records:,} in {_short(poll.seconds)})[/dim]"
    return f"[{_COLORS[end.state]}]{end.state}[/{_COLORS[end.state]}]{reason}{lag}{polled}"


def _short(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _print(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
