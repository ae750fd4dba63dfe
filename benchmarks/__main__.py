"""`python -m benchmarks engine|sqs|latency|memory|all`."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.measure import note


@click.command()
@click.argument("which", type=click.Choice(["engine", "sqs", "latency", "memory", "all"]), default="all")
def main(which: str) -> None:
    """Measure flows beside the floor they stand on. Bounded in count and time: all of it in a few minutes."""
    chosen = ["engine", "memory", "sqs", "latency"] if which == "all" else [which]
    note(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    if "engine" in chosen:
        from benchmarks import engine

        engine.main()
    if "memory" in chosen:
        from benchmarks import rss

        rss.main()
    if {"sqs", "latency"} & set(chosen):
        _with_server(chosen)


def _with_server(chosen: list[str]) -> None:
    from benchmarks import latency, sqs
    from benchmarks.server import fastest_server

    with TemporaryDirectory() as directory, fastest_server(Path(directory)) as server:
        if "sqs" in chosen:
            sqs.main(server)
        if "latency" in chosen:
            latency.main(server)


if __name__ == "__main__":
    main()
