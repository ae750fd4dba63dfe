"""What the suite must know of the triggers and sinks of this machine."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sinks.testing import Received, SinkHarness
from sources.testing import PollingHarness

__all__ = ["DroppedFiles", "File", "GrowingLog", "Nowhere", "StandardOutput"]


class DroppedFiles(PollingHarness):
    """A folder into which files of JSON lines are renamed; they are deleted when they are delivered."""

    event = "files.new-files"
    many = 20_000
    keys = ("the folder",)

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "inbox"
        self._folder.mkdir()
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        self._rows: dict[str, int] = {}

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "files",
            "event": "new-files",
            "path": str(self._folder),
            "interval": "20ms",
            "settle_time": 0,
            "after": "delete",
            **fields,
        }

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        with self._sending:
            name = f"{next(self._numbers):09}.jsonl"
            self._rows[name] = len(payloads)
            fresh = self._folder / f"{name}.tmp"
            fresh.write_bytes(b"".join(payload + b"\n" for payload in payloads))
            fresh.rename(self._folder / name)

    def left(self) -> int:
        half = (self.saved_cursor() or {}).get("file")
        names = [path.name for path in self._folder.iterdir() if path.name in self._rows]
        read = half["at"]["row"] if half and half["path"].rpartition("/")[2] in names else 0
        return sum(self._rows[name] for name in names) - int(read)


class GrowingLog(PollingHarness):
    """A log that is appended to, and renamed every so often."""

    event = "files.new-files"
    many = 20_000
    keys = ("the log",)
    rotate_after: ClassVar[int] = 5_000
    """Lines."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "log" / "app.jsonl"
        self._path.parent.mkdir()
        self._numbers = itertools.count(1)
        self._sending = threading.Lock()
        self._rows: Counter[str] = Counter()

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "files",
            "event": "new-files",
            # One that is renamed twice between two polls is found only by its new name.
            "path": str(self._path.with_name("app.*")),
            "grow": True,
            "interval": "20ms",
            "settle_time": "100ms",
            **fields,
        }

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        with self._sending:
            with self._path.open("ab") as file:
                file.write(b"".join(payload + b"\n" for payload in payloads))
            inode = str(self._path.stat().st_ino)
            self._rows[inode] += len(payloads)
            if self._rows[inode] >= self.rotate_after:
                self._path.rename(self._path.with_name(f"app.{next(self._numbers)}"))

    def left(self) -> int:
        files = (self.saved_cursor() or {"files": {}})["files"]
        read = sum(state["at"]["row"] for state in files.values() if state["at"] is not None)
        return self._rows.total() - int(read)


class File(SinkHarness):
    """A file, read by this process."""

    many = 5_000
    ordered: dict[str, Any] = {}  # noqa: RUF012 - it stays as it is

    def __init__(self, directory: Path) -> None:
        self._path = directory / "out.jsonl"

    def action(self, **fields: Any) -> dict[str, Any]:
        return {"connector": "files", "action": "append", "path": str(self._path), **fields}

    def received(self) -> Sequence[Received]:
        if not self._path.exists():
            return []
        return [Received(line) for line in self._path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


class StandardOutput(File):
    """Standard output, which the lab sends to a file."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "stdout.txt"

    def action(self, **fields: Any) -> dict[str, Any]:
        return {"connector": "stdout", "action": "print", **fields}


class Nowhere(SinkHarness):
    """What is dropped is nowhere."""

    def __init__(self, directory: Path) -> None:
        """A directory is of no use here."""

    def action(self, **fields: Any) -> dict[str, Any]:
        return {"connector": "drop", "action": "drop", **fields}
