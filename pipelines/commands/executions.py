"""`pipelines executions`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.arguments import SPEC, STATE_DIR, since
from pipelines.printing import printable

if TYPE_CHECKING:
    from flowspec.journal.search import Execution, JournalReader, Search

__all__ = ["command"]

_LOOK = 0.5
"""Seconds between two looks for what is new."""
_HEADINGS = (
    "received", "ended", "status", "step or sink", "attempts", "external id", "origin", "batch", "worker", "error",
)  # fmt: skip
_GAP = "  "


@click.command("executions")
@SPEC
@click.option("--external-id", metavar="ID", help="Only those of this External ID.")
@click.option("--status", type=click.Choice(["delivered", "filtered", "failed", "dead"]), help="Only those.")
@since("what ended")
@click.option(
    "--limit", type=click.IntRange(0), default=50, show_default=True, help="The latest of them, at most so many."
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object in each line.")
@STATE_DIR
def command(
    spec: Path,
    state_dir: Path,
    *,
    limit: int,
    follow: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Show what happened to the records of SPEC, the latest at the end.

    A record that came again is there each time, and for each sink. `failed` are those that are tried again later, or
    that `skip` let go; `dead` are dead letters. How much is kept is up to `journal` in the spec. Times are UTC.
    """
    from flowspec.journal.search import JournalReader, Search
    from flowspec.loading.name import load_name

    reader = JournalReader(load_name(spec), state_dir)
    search = Search(**which)
    show = _show_json if as_json else _Table().show
    try:
        last = 0
        if reader.exists():
            executions, last = reader.latest(search, limit)
            show(executions)
            for note in _notes(reader, search, has_found=bool(executions) or not limit):
                click.echo(note, err=True)
        else:
            click.echo(f"nothing is known: there is no journal {reader.path}; the flow has not run there", err=True)
        while follow:
            time.sleep(_LOOK)
            if reader.exists():
                executions, last = reader.after(last, search)
                show(executions)
    except KeyboardInterrupt:
        return


def _notes(reader: JournalReader, search: Search, *, has_found: bool) -> Iterator[str]:
    """What one has to know of the executions that are shown."""
    level = reader.level()
    if not has_found:
        kept = "what failed only" if level == "failures" else "every record"
        yield f"nothing is known of that; the journal keeps {kept} (level {level!r})"
    if (search.external_id is None or not has_found) and (counted := reader.counted(search.since)) is not None:
        begin, counts = counted
        yield (
            f"since {_shown_time(begin, 'minutes')}: {counts.received:,} received, {counts.delivered:,} delivered, "
            f"{counts.filtered:,} filtered, {counts.failed:,} failed, {counts.dead_letters:,} of them dead letters; "
            f"{counts.retried:,} were put off"
        )
    for gap in reader.gaps(search.since):
        yield (
            f"from {_shown_time(gap.since)} to {_shown_time(gap.until)} {gap.lost:,} executions are missing: "
            f"{printable(gap.reason)}"
        )


class _Table:
    """Prints executions in columns, which become as wide as what comes."""

    def __init__(self) -> None:
        self._widths = [0] * len(_HEADINGS)

    def show(self, executions: Sequence[Execution]) -> None:
        rows = [_cells(execution) for execution in executions]
        if not rows:
            return
        shown = rows if any(self._widths) else [_HEADINGS, *rows]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        self._widths = list(map(max, self._widths, widths))
        for row in shown:
            click.echo(_GAP.join(map(str.ljust, row, self._widths)).rstrip())


def _cells(execution: Execution) -> tuple[str, ...]:
    then = {"retry": " (is tried again)", "skip": " (skipped)", None: ""}[execution.then]
    fields = "" if execution.fields is None else _json(execution.fields)
    return (
        "" if execution.received_at is None else _shown_time(execution.received_at),
        _shown_time(execution.ended_at),
        execution.status + then,
        execution.place,
        str(execution.attempts),
        printable(execution.external_id or ""),
        printable(execution.origin),
        "" if execution.batch is None else str(execution.batch),
        str(execution.worker),
        printable(_GAP.join(filter(None, (execution.error, fields)))),
    )


def _show_json(executions: Sequence[Execution]) -> None:
    for execution in executions:
        received_at = execution.received_at
        click.echo(
            _json(
                {
                    "received_at": None if received_at is None else _shown_time(received_at),
                    "ended_at": _shown_time(execution.ended_at),
                    "status": execution.status,
                    "then": execution.then,
                    "place": execution.place,
                    "attempts": execution.attempts,
                    "external_id": execution.external_id,
                    "origin": execution.origin,
                    "batch": execution.batch,
                    "worker": execution.worker,
                    "error": execution.error,
                    "fields": execution.fields,
                }
            )
        )


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()


def _shown_time(seconds: float, precision: str = "milliseconds") -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)
    return moment.isoformat(timespec=precision) + "Z"
