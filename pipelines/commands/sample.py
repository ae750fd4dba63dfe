"""`pipelines sample`."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.arguments import ACCOUNTS, SPEC, STATE_DIR, seconds

__all__ = ["command"]


@click.command("sample")
@SPEC
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many, at most."
)
@click.option(
    "--wait",
    metavar="SECONDS",
    callback=seconds,
    default="2s",
    show_default=True,
    help="How long to wait for the first record.",
)
@click.option("--through", metavar="STEP", help="The last step that is shown; by default all are.")
@STATE_DIR
@ACCOUNTS
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each record, in a line.")
def command(
    *, spec: Path, limit: int, wait: float, through: str | None, state_dir: Path, accounts: Path | None, as_json: bool
) -> None:
    """Look at the next records of SPEC's trigger as they leave each step, without consuming them.

    Nothing is delivered, acknowledged or stored: a flow that runs meanwhile is not disturbed. Steps that do something
    themselves do it: `python` calls its function, and `log` logs.
    """
    from flowspec.loading import load
    from flowspec.preview import preview
    from pipelines import logs, samples

    flow = load(spec, accounts)
    logs.set_up("text", flow.name)
    if flow.trigger.sample_cost:
        click.echo(f"note: {flow.trigger.sample_cost}", err=True)
    seen = preview(flow, limit, wait, through=through, state_dir=state_dir)
    for number, each in enumerate(seen, 1):
        click.echo(samples.as_json(each) if as_json else "\n".join(samples.as_text(number, each)) + "\n")
    if not seen:
        click.echo(f"there is no record to look at; waited {wait:g} s", err=True)
