"""`python -m benchmarks engine|memory|sqs|rabbitmq|kafka|sql|journal|latency|all|model|scaling`."""

from __future__ import annotations

import os
import platform
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from benchmarks.measure import note

if TYPE_CHECKING:
    from benchmarks.servers import Systems

_ALL = ["engine", "memory", "sqs", "rabbitmq", "kafka", "sql", "journal", "latency"]
_ON_DEMAND = ["model", "scaling"]
_ON_SERVERS = {"sqs", "rabbitmq", "kafka", "sql", "journal", "latency", "scaling"}


@click.command()
@click.argument("which", type=click.Choice([*_ALL, *_ON_DEMAND, "all"]), default="all")
def main(which: str) -> None:
    """Measure flows beside the floor they stand on. Bounded in count and time: all of it in about ten minutes."""
    chosen = _ALL if which == "all" else [which]
    note(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    if "engine" in chosen:
        from benchmarks import engine

        engine.main()
    if "memory" in chosen:
        from benchmarks import rss

        rss.main()
    if "model" in chosen:
        from benchmarks import model

        model.main()
    if "scaling" in chosen:
        from benchmarks import scaling

        scaling.main()
    with ExitStack() as stack:
        if _ON_SERVERS & set(chosen):
            from benchmarks.servers import Systems

            directory = Path(stack.enter_context(TemporaryDirectory()))
            _on_servers(chosen, stack.enter_context(Systems(directory)))


def _on_servers(chosen: list[str], systems: Systems) -> None:
    if "sqs" in chosen:
        from benchmarks import sqs

        sqs.main(systems.sqs)
    if "rabbitmq" in chosen:
        from benchmarks import rabbitmq

        rabbitmq.main(systems.rabbitmq)
    if "kafka" in chosen:
        from benchmarks import kafka

        kafka.main(systems.kafka)
    if "sql" in chosen:
        from benchmarks import sql

        sql.main(systems.postgresql)
    if "journal" in chosen:
        from benchmarks import journal

        journal.main(systems)
    if "latency" in chosen:
        from benchmarks import latency

        latency.main(systems.lines())
    if "scaling" in chosen:
        from benchmarks import scaling

        scaling.main(systems)


if __name__ == "__main__":
    main()
