"""A connector for tests: a trigger that is always right, and a sink that fails when it is told to.

A command finds it through its entry points, like that of a third party: `sources.testing.flows.ENVIRONMENT` has the
way to them. In this process `sources.testing.lab` registers it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from flowspec.connectors import Action, Reader, StreamTrigger, WorkerContext
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.fields import Duration
from flowspec.formats import encode_all, encoder
from flowspec.jsonlines import Appender
from flowspec.records import Failure, Record

__all__ = ["Flaky", "ReadLines"]


class ReadLines(StreamTrigger):
    """Read Lines: starts the flow for each line of a file that grows. What was committed is in a file beside it."""

    connector: Annotated[Literal["testbed"], Field(description="For tests.", examples=["testbed"])] = "testbed"
    identified_by: ClassVar[tuple[str, ...]] = ("path", "offset")

    event: Annotated[Literal["read-lines"], Field(description="Each line.", examples=["read-lines"])] = "read-lines"
    account: Annotated[None, Field(description="Needs no account.", examples=[None])] = None
    path: Annotated[Path, Field(description="The file.", examples=["in.jsonl"])]

    def partitions(self, workers: int) -> list[str]:
        """The file is read by one worker."""
        return ["file"]

    def open(self, partition: str, resume: int | None, context: WorkerContext) -> Reader:
        """Go on where the last commit was."""
        context.health.up()
        return _LineReader(self.path)

    def check(self) -> str:
        """See that the file is there."""
        if not self.path.exists():
            msg = f"{self.path} is not there yet"
            raise TransientError(msg)
        return f"{self.path} is there"

    def sample(self, most: int, wait: float, context: WorkerContext) -> list[Record]:
        """The lines behind the last commit."""
        reader, until = _LineReader(self.path), time.monotonic() + wait
        while not (records := reader.read(most, wait)) and time.monotonic() < until:
            pass
        return records


class _LineReader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._committed = path.with_name(path.name + ".committed")
        self._position = int(self._committed.read_text()) if self._committed.exists() else 0
        self._stopped = False

    def read(self, most: int, wait: float) -> list[Record]:
        records: list[Record] = []
        if self._path.exists() and not self._stopped:
            with self._path.open("rb") as file:
                file.seek(self._position)
                while len(records) < most and (line := file.readline()).endswith(b"\n"):
                    records.append(Record(line[:-1], meta={"path": str(self._path), "offset": self._position}))
                    self._position += len(line)
        if not records:
            time.sleep(min(wait, 0.01))
        return records

    def position(self) -> int:
        return self._position

    def commit(self, position: int) -> None:
        fresh = self._committed.with_suffix(".new")
        fresh.write_text(str(position))
        fresh.rename(self._committed)

    def stop(self) -> None:
        self._stopped = True

    def close(self, timeout: float) -> None:
        """Every commit is made at once."""


class Flaky(Action):
    """Flaky: appends JSON lines to a file, when it feels like it. It fails before it has written anything.

    A record whose body says so in its field `fail` fails: `record` for good, `unexpected` with an error of no known
    kind, and with `fatal` the flow stops.
    """

    connector: Annotated[Literal["testbed"], Field(description="For tests.", examples=["testbed"])] = "testbed"
    action: Annotated[Literal["flaky"], Field(description="Append, or fail.", examples=["flaky"])] = "flaky"
    account: Annotated[None, Field(description="Needs no account.", examples=[None])] = None
    path: Annotated[Path, Field(description="The file.", examples=["out.jsonl"])]
    fail_rate: Annotated[
        float, Field(ge=0, le=1, description="Share of batches that raise an error of no known kind.", examples=[0.1])
    ] = 0.0
    refuse_every: Annotated[
        int | None,
        Field(ge=2, description="Each n-th record is refused for now, its neighbours are written.", examples=[10]),
    ] = None
    sleep: Annotated[Duration, Field(ge=0, description="How long a batch takes.", examples=["100ms"])] = 0.0
    down_file: Annotated[
        Path | None, Field(description="While this file exists the sink is down.", examples=["down"])
    ] = None

    def check(self) -> str:
        """See that it is not told to be down."""
        self.must_be_up()
        return f"{self.path} is written"

    def must_be_up(self) -> None:
        """Fail while it is told to be down."""
        if self.down_file is not None and self.down_file.exists():
            msg = f"{self.down_file} exists"
            raise TransientError(msg)

    def open(self, context: WorkerContext) -> _FlakyWriter:
        """Nothing is touched before the first batch."""
        return _FlakyWriter(self)


class _FlakyWriter:
    def __init__(self, action: Flaky) -> None:
        self._action = action
        self._file = Appender(action.path)
        self._encode = encoder("json")
        self._seen = 0

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        time.sleep(self._action.sleep)
        self._action.must_be_up()
        if random.random() < self._action.fail_rate:  # noqa: S311 - no secret
            msg = "out of sorts"
            raise RuntimeError(msg)
        errors = [self._error(record) for record in records]
        failures = [Failure(record, error) for record, error in zip(records, errors, strict=True) if error is not None]
        good = [record for record, error in zip(records, errors, strict=True) if error is None]
        _, lines, unfit = encode_all(good, self._encode)
        if lines:
            self._file.append(lines)
        return failures + unfit

    def _error(self, record: Record) -> Exception | None:
        self._seen += 1
        how = record.body.get("fail") if isinstance(record.body, dict) else None
        if how == "fatal":
            msg = f"stopped by {record.raw!r}"
            raise FatalError(msg)
        if how == "unexpected":
            msg = f"confused by {record.raw!r}"
            raise RuntimeError(msg)
        if how == "record":
            return RecordError(f"refused {record.raw!r}")
        if self._action.refuse_every is not None and self._seen % self._action.refuse_every == 0:
            return TransientError("refused for now")
        return None

    def close(self) -> None:
        self._file.close()
