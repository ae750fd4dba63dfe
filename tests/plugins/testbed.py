"""A connector as third parties write them: found through its entry point, it fails when it is told to."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from flowspec.connectors import Action, WorkerContext
from flowspec.errors import TransientError
from flowspec.fields import Duration
from flowspec.formats import encode_all, encoder
from flowspec.jsonlines import Appender
from flowspec.records import Failure, Record

__all__ = ["Flaky"]


class Flaky(Action):
    """Flaky: appends JSON lines to a file, when it feels like it. It fails before it has written anything."""

    connector: Annotated[Literal["testbed"], Field(description="For tests.", examples=["testbed"])] = "testbed"
    action: Annotated[Literal["flaky"], Field(description="Append, or fail.", examples=["flaky"])] = "flaky"
    account: Annotated[None, Field(description="Needs no account.", examples=[None])] = None
    path: Annotated[Path, Field(description="The file.", examples=["out.jsonl"])]
    fail_rate: Annotated[
        float, Field(ge=0, le=1, description="Share of batches that raise an error of no known kind.", examples=[0.1])
    ] = 0.0
    sleep: Annotated[Duration, Field(ge=0, description="How long a batch takes.", examples=["100ms"])] = 0.0
    down_file: Annotated[
        Path | None, Field(description="While this file exists the sink is down.", examples=["down"])
    ] = None

    def open(self, context: WorkerContext) -> _FlakyWriter:
        """Nothing is touched before the first batch."""
        return _FlakyWriter(self)


class _FlakyWriter:
    def __init__(self, action: Flaky) -> None:
        self._action = action
        self._file = Appender(action.path)
        self._encode = encoder("json")

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        time.sleep(self._action.sleep)
        if self._action.down_file is not None and self._action.down_file.exists():
            msg = f"{self._action.down_file} exists"
            raise TransientError(msg)
        if random.random() < self._action.fail_rate:
            msg = "out of sorts"
            raise RuntimeError(msg)
        _, lines, failures = encode_all(records, self._encode)
        if lines:
            self._file.append(lines)
        return failures

    def close(self) -> None:
        self._file.close()
