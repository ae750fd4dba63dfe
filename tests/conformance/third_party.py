"""What another package would have to run the suite; `test_suite.py` copies it to a place of its own."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from flowspec import Reader, Record, WorkerContext, register
from sources.testbed import ReadLines
from sources.testing import TriggerConformance, TriggerHarness


class Lines(TriggerHarness):
    """A file that lines are added to."""

    event = "read-lines"

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lines.jsonl"
        self._path.touch()
        self._sending = threading.Lock()

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return {"connector": "testbed", "event": self.event, "path": str(self._path), **fields}

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        with self._sending, self._path.open("ab") as file:
            file.writelines(payload + b"\n" for payload in payloads)

    def left(self) -> int:
        committed = self._path.with_name("lines.jsonl.committed")
        with self._path.open("rb") as file:
            file.seek(int(committed.read_text()) if committed.exists() else 0)
            return file.read().count(b"\n")


class TestReadLines(TriggerConformance):
    trigger = "testbed.read-lines"
    system = "a file"
    harness_type = Lines
    waivers: ClassVar = {
        3: "a line has nothing beside it",
        4: "a line has nothing beside it",
        9: "what is there is handed over at once",
        23: "no connection is needed",
        24: "a line is never taken away",
        25: "a commit cannot be refused",
        27: "a line has no key",
        36: "what does not exist is waited for",
    }

    @pytest.fixture
    def server(self, tmp_path: Path) -> Path:
        return tmp_path


@register
class ReadEagerly(ReadLines):
    """Read Eagerly: commits what nobody has delivered yet, as a trigger must never do."""

    event: Annotated[Literal["read-eagerly"], Field(description="Wrong.")] = "read-eagerly"  # type: ignore[assignment]

    def open(self, partition: str, resume: int | None, context: WorkerContext) -> Reader:
        reader = super().open(partition, resume, context)

        class Eager(type(reader)):  # type: ignore[misc]
            def read(self, most: int, wait: float) -> list[Record]:
                records: list[Record] = super().read(most, wait)
                self.commit(self.position())
                return records

        return Eager(self.path)


class EagerLines(Lines):
    event = "read-eagerly"


class TestReadEagerly(TestReadLines):
    trigger = "testbed.read-eagerly"
    harness_type = EagerLines
    waivers: ClassVar = {**TestReadLines.waivers, 1: "it could be held to this, so the waiver is wrong"}
