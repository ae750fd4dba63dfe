"""`pipelines dead-letters`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.arguments import ACCOUNTS, SPEC, STATE_DIR, since
from pipelines.printing import printable

if TYPE_CHECKING:
    from flowspec.deadletters.letter import Letter
    from flowspec.deadletters.store import LetterStore, Search

__all__ = ["command"]

_WIDTH = 60
"""Characters that are shown of an error."""


def _which(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which letters are meant."""
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option("--id", "ids", type=int, multiple=True, metavar="N", help="Only this one; may be given often."),
        click.option("--external-id", metavar="ID", help="Only those of this External ID."),
        click.option("--step", metavar="STEP", help="Only those that failed at this step or sink."),
        since("those that failed last"),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group("dead-letters")
def command() -> None:
    """Show, replay, remove or export the records of a flow that failed."""


@command.command("list")
@SPEC
@_which
@STATE_DIR
def list_(spec: Path, state_dir: Path, **which: Any) -> None:
    """List the dead letters of SPEC, and the records that are going to be tried again, a line for each."""
    with _store(spec, state_dir) as store:
        letters = [_row(letter) for letter in store.find(_search(which))]
    if not letters:
        click.echo("no dead letters")
        return
    for row in _aligned([("id", "external id", "step", "attempts", "last try", "next try", "error"), *letters]):
        click.echo(row)


@command.command("show")
@SPEC
@_which
@STATE_DIR
def show(spec: Path, state_dir: Path, **which: Any) -> None:
    """Show everything that is known of dead letters of SPEC, as JSON."""
    _print_envelopes(spec, state_dir, which, indented=True)


@command.command("export")
@SPEC
@_which
@STATE_DIR
def export(spec: Path, state_dir: Path, **which: Any) -> None:
    """Write dead letters of SPEC to standard output, a JSON object in each line; they stay in the store."""
    _print_envelopes(spec, state_dir, which, indented=False)


@command.command("drop")
@SPEC
@_which
@click.option("--yes", is_flag=True, help="Do not ask.")
@STATE_DIR
def drop(spec: Path, state_dir: Path, yes: bool, **which: Any) -> None:
    """Remove dead letters of SPEC for good."""
    with _store(spec, state_dir) as store:
        search = _search(which)
        count = store.count(search)
        if count and not yes:
            click.confirm(f"remove {count} of {store.flow} for good?", abort=True, err=True)
        store.remove([letter.id for letter in store.find(search)] if count else [])
    click.echo(f"{count} removed")


@command.command("replay")
@SPEC
@_which
@STATE_DIR
@ACCOUNTS
def replay(spec: Path, state_dir: Path, accounts: Path | None, **which: Any) -> None:
    """Run dead letters through SPEC as it is now; each leaves the store when it is delivered, or filtered.

    A record that a sink refused goes to that sink only. What fails again stays, with its new error. Records that are
    going to be tried again by themselves are left alone. Ends with 1 where not all went through.

    The steps of some flows remember records, and only their own run can have more of these pass: then letters are
    marked, and the flow takes them as soon as it runs.
    """
    from flowspec.deadletters.store import LetterStore
    from flowspec.loading import load
    from pipelines.replay import replay as run

    flow = load(spec, accounts)
    with closing(LetterStore(flow.name, state_dir)) as store:
        if flow.remembers:
            count = store.try_now(_search(which, given_up=True))
            click.echo(f"{flow.name}: {count} marked, for the flow to take as soon as it runs")
            return
        done = run(flow, store, _search(which, given_up=True), state_dir)
    click.echo(
        f"{flow.name}: replayed {done.taken}, delivered {done.delivered}, filtered {done.filtered}, "
        f"failed again {done.failed}"
    )
    if done.error is not None:
        click.echo(f"error: {done.error}", err=True)
    sys.exit(1 if done.failed or done.error else 0)


def _print_envelopes(spec: Path, state_dir: Path, which: dict[str, Any], *, indented: bool) -> None:
    import orjson

    option = orjson.OPT_INDENT_2 if indented else 0
    with _store(spec, state_dir) as store:
        for letter in store.find(_search(which)):
            click.echo(orjson.dumps(letter.envelope(store.flow), option=option).decode())


@contextmanager
def _store(spec: Path, state_dir: Path) -> Iterator[LetterStore]:
    from flowspec.deadletters.store import LetterStore
    from flowspec.loading.name import load_name

    with closing(LetterStore(load_name(spec), state_dir)) as store:
        yield store


def _search(which: dict[str, Any], *, given_up: bool = False) -> Search:
    from flowspec.deadletters.store import Search

    return Search(**which, given_up=given_up)


def _row(letter: Letter) -> tuple[str, ...]:
    shown = letter.envelope("")
    error = printable(f"{shown['error']['type']}: {shown['error']['message']}")
    return (
        str(letter.id),
        printable(shown["external_id"] or "-"),
        letter.step,
        str(letter.attempts),
        _short(shown["last_try"]),
        _short(shown["next_try"]),
        error if len(error) <= _WIDTH else error[: _WIDTH - 3] + "...",
    )


def _short(time: str | None) -> str:
    return "-" if time is None else time[:19] + "Z"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
