"""`pipelines validate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipelines.arguments import ACCOUNTS

__all__ = ["command"]


@click.command("validate")
@click.argument("specs", metavar="SPEC...", type=click.Path(path_type=Path), nargs=-1, required=True)
@ACCOUNTS
def command(specs: tuple[Path, ...], accounts: Path | None) -> None:
    """Check specs, and name everything that is wrong with each."""
    from flowspec.loading import SpecError, load

    wrong = False
    for spec in specs:
        try:
            load(spec, accounts)
        except SpecError as error:
            wrong = True
            click.echo(str(error), err=True)
        else:
            click.echo(f"{spec}: ok")
    sys.exit(2 if wrong else 0)
