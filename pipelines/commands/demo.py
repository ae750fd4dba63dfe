"""`pipelines demo`."""

from __future__ import annotations

import sys

import click

__all__ = ["command"]


@click.command("demo")
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True, help="How long orders come in.")
@click.option("--rate", type=click.IntRange(1), default=300, show_default=True, help="Orders per second.")
def command(seconds: float, rate: int) -> None:
    """Watch orders flow out of a queue of a server that this starts."""
    from pipelines.demo import run_demo

    sys.exit(run_demo(seconds, rate))
