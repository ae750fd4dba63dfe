"""An SQLite file as a database of tests."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.servers.database import Database

__all__ = ["SqliteFile"]


class SqliteFile(Database):
    """A file, which is made when it is first used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
        self.account: dict[str, Any] = {"url": self.url}

    def connect(self, *, autocommit: bool = False) -> sqlite3.Connection:
        """A connection of the test's own."""
        return sqlite3.connect(self.path, timeout=60, isolation_level=None if autocommit else "DEFERRED")
