"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["ACCOUNTS", "SPEC", "STATE_DIR"]

SPEC = click.argument("spec", type=click.Path(path_type=Path))
ACCOUNTS = click.option("--accounts", type=click.Path(path_type=Path), help="The file of the accounts.")
STATE_DIR = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".pipelines"),
    show_default=True,
    help="Where dead letters, cursors and logs are kept.",
)
