"""`pipelines test`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.arguments import ACCOUNTS, STATE_DIR

if TYPE_CHECKING:
    from flowspec.testing.results import Result
    from flowspec.testing.suite import Case

__all__ = ["command"]

_WAIT = 5.0
"""Seconds to wait for the first record of a sample."""
_COLOURS = {"-": "red", "+": "green", "@": "cyan"}


@click.command("test")
@click.argument("specs", metavar="SPEC...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-k", "selected", metavar="TEXT", help="Only the tests whose name contains TEXT.")
@click.option("--update", is_flag=True, help="Write what was seen into the tests that fail.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JUnit XML.")
@click.option(
    "--from-sample",
    "sampled",
    metavar="N",
    type=click.IntRange(1, 10_000),
    help="Add a test of at most N records that the trigger's system has now, and of what the flow makes of them.",
)
@ACCOUNTS
@STATE_DIR
def command(
    specs: tuple[Path, ...],
    *,
    selected: str | None,
    update: bool,
    junit: Path | None,
    sampled: int | None,
    accounts: Path | None,
    state_dir: Path,
) -> None:
    """Run the tests of specs: of each SPEC, or of all in a folder.

    They are in the `tests` section of a spec, and in a file beside it: `orders.test.json` beside `orders.json`. Nothing
    is connected; only --from-sample needs the account of the trigger, and takes nothing away from who consumes.
    """
    if sampled is not None:
        if len(specs) > 1 or selected is not None or update or junit is not None:
            msg = "--from-sample adds a test of one SPEC, and runs none; leave the other options out"
            raise click.UsageError(msg)
        _add_sample(specs[0], sampled, accounts, state_dir)
        return
    sys.exit(_run(specs, selected, junit, update=update))


def _run(specs: Sequence[Path], selected: str | None, junit: Path | None, *, update: bool) -> int:
    from flowspec.testing.junit import write_junit
    from flowspec.testing.results import result_of
    from flowspec.testing.suite import find_specs, load_suites

    if update and junit is not None:
        msg = "--junit is for tests that are to be right as they are; leave it or --update out"
        raise click.UsageError(msg)
    suites = load_suites(dict.fromkeys(each for spec in specs for each in find_specs(spec)))
    chosen = [(suite.path, [case for case in suite.cases if _is_selected(case, selected)]) for suite in suites]
    chosen = [(path, cases) for path, cases in chosen if cases]
    if not chosen:
        msg = f"no test has {selected!r} in its name"
        raise click.UsageError(msg)
    results = []
    for path, cases in chosen:
        click.secho(str(path), bold=True)
        results.append((path, [_told(result_of(case), update=update) for case in cases]))
    everything = [result for _, of_spec in results for result in of_spec]
    if update:
        _write_seen(everything)
    if junit is not None:
        write_junit(junit, results)
    return _summed_up(everything, update=update)


def _is_selected(case: Case, text: str | None) -> bool:
    return text is None or text.lower() in case.test.name.lower()


def _told(result: Result, *, update: bool) -> Result:
    case = result.case
    if not result.failed:
        click.echo(f"  {click.style('ok', fg='green')}      {case.test.name}")
        return result
    said = click.style("updated" if update else "FAILED ", fg="yellow" if update else "red", bold=True)
    click.echo(f"  {said} {case.test.name} ({case.place})")
    for line in result.difference:
        click.secho(f"    {line}", fg=_COLOURS.get(line[0]))
    for note in result.notes:
        click.secho(f"    {note}", fg="yellow")
    return result


def _write_seen(results: Sequence[Result]) -> None:
    from flowspec.testing.writing import write_expected

    failed = [result for result in results if result.failed]
    for source in dict.fromkeys(result.case.document.source for result in failed):
        of_source = [result for result in failed if result.case.document.source == source]
        write_expected(of_source[0].case.document, [(each.case.index, each.to_be_expected) for each in of_source])


def _summed_up(results: Sequence[Result], *, update: bool) -> int:
    failed = sum(result.failed for result in results)
    seconds = sum(result.seconds for result in results)
    count = f"{len(results)} test{'s' if len(results) != 1 else ''}"
    done = "updated" if update else "failed"
    colour = ("yellow" if update else "red") if failed else "green"
    click.secho(f"{count}, {failed} {done} ({seconds:.2f} s)" if failed else f"{count} ok ({seconds:.2f} s)", fg=colour)
    return 1 if failed and not update else 0


def _add_sample(path: Path, most: int, accounts: Path | None, state_dir: Path) -> None:
    from datetime import datetime, timezone

    from flowspec.delivery.run import FlowRun
    from flowspec.loading import load
    from flowspec.testing.sampling import sampled_test
    from flowspec.testing.suite import file_of_tests
    from flowspec.testing.writing import add_test

    spec = load(path, accounts)
    if spec.trigger.sample_cost:
        click.echo(spec.trigger.sample_cost, err=True)
    records = spec.trigger.sample(most, _WAIT, FlowRun(spec.name, state_dir).context("trigger"))
    test, file = sampled_test(spec, records, datetime.now(timezone.utc)), file_of_tests(path)
    add_test(file, test)
    count = len(test["given"])
    click.echo(f"{file}: added {test['name']!r} of {count} record{'s' if count != 1 else ''}")
