"""Timing runs, and showing them side by side."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

__all__ = ["Contestant", "Result", "interleaved", "note", "show", "timed"]

# Wide enough that no cell is wrapped where the output is piped into a file.
_console = Console(width=120, highlight=False)


@dataclass(frozen=True)
class Result:
    """What one run, or the median of several, took."""

    rate: float
    """Records per second."""
    cpu: float
    """Microseconds of CPU per record, of all threads of the process."""


Contestant: TypeAlias = Callable[[], Result]


def timed(work: Callable[[], object], records: int) -> Result:
    """Run `work`, which handles `records` records."""
    # Garbage of the run before is not this one's.
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Result(records / wall, cpu / records * 1e6)


def interleaved(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, Result]:
    """The medians of `rounds` runs of each, in turns, so that a slow moment of the machine hits all of them."""
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            results[name].append(contestant())
    return {
        name: Result(median(run.rate for run in runs), median(run.cpu for run in runs))
        for name, runs in results.items()
    }


def show(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table that is also Markdown; the first column is text, the others are numbers."""
    table = Table(box=MARKDOWN)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    _console.print(f"\n## {title}\n")
    _console.print(table)


def note(text: str) -> None:
    """Print a sentence about what was measured."""
    _console.print(f"\n{text}")
