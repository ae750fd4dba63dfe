"""Records that something happens to, and journals that are told of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowspec.deadletters.letter import DeadLetter, Letter
from flowspec.delivery.tally import Tally
from flowspec.errors import RecordError
from flowspec.journal.journal import Journal
from flowspec.journal.search import Execution, JournalReader, Search
from flowspec.journal.settings import JournalSettings
from flowspec.records import Record, Trace
from sources.testbed import ReadLines

__all__ = ["TRIGGER", "executions", "failure", "program", "record", "tried_before", "writing"]

TRIGGER = ReadLines(path=Path("in.jsonl"))


def record(number: int, **changes: Any) -> Record:
    """An order, as it comes from a line of a file."""
    values: dict[str, Any] = {
        "raw": b"{}",
        "body": {"number": number},
        "meta": {"path": "in.jsonl", "offset": number},
        "external_id": f"order-{number}",
        "trace": Trace(received_at=time.time(), batch=number // 10),
    }
    return Record(**{**values, **changes})


def tried_before(number: int, attempts: int) -> Record:
    """An order that failed before."""
    now = time.time()
    letter = Letter(1, record(number), "map-1", "", {}, attempts, now, now, now, ())
    return record(number, trace=Trace(letter=letter, received_at=now))


def failure(failed: Record, error: Exception | None = None, step: str = "map-1", attempts: int = 1) -> DeadLetter:
    """The failure of a record."""
    return DeadLetter(failed, step, error or RecordError("missing field 'total'"), attempts, time.time())


@contextmanager
def writing(directory: Path, worker: int = 0, tally: Tally | None = None, **settings: Any) -> Iterator[Journal]:
    """A journal of the flow `orders`; at the end of the block it is written."""
    chosen = JournalSettings(**{"level": "all", **settings})
    journal = Journal("orders", directory, worker, chosen, TRIGGER, tally=tally or Tally())
    try:
        yield journal
    finally:
        journal.close()


def executions(directory: Path, most: int = 100, **search: Any) -> list[Execution]:
    """What the journal has, oldest first."""
    reader = JournalReader("orders", directory)
    return reader.latest(Search(**search), most)[0] if reader.exists() else []


def program(text: str, *arguments: object, output: int | None = None) -> subprocess.Popen[str]:
    """A process of its own that runs a program."""
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.Popen(command, stdout=output, text=True)
