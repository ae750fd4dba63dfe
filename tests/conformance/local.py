"""What the suite must know of the sinks of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sinks.testing import Received, SinkHarness

__all__ = ["File", "Nowhere", "StandardOutput"]


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
