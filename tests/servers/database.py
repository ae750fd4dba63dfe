"""What database servers of tests have in common."""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from contextlib import closing
from typing import Any

from tests.secrets import secret
from tests.servers.process import ServerProcess, server_port
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["PASSWORD", "USER", "Database", "DatabaseServer"]

USER = "tests"
PASSWORD = secret("Database")

_numbers = itertools.count()


class Database(ABC):
    """A database in which tests make tables of their own."""

    url: str
    """For SQLAlchemy, with all that it takes to connect."""
    account: dict[str, Any]
    """What the account of a spec has."""

    @abstractmethod
    def connect(self, *, autocommit: bool = False) -> Any:
        """A connection of the test's own, of the database's driver."""

    def execute(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement, in the words of the driver, and commit it; answers its rows."""
        with closing(self.connect(autocommit=True)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement, *(() if parameters is None else (parameters,)))
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def create_table(self, columns: str) -> str:
        """A table of its own for a test, for instance of "id bigint primary key, name text"; answers its name."""
        name = f"table_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE TABLE {name} ({columns})")
        return name


class DatabaseServer(Database):
    """A running server, with a proxy in front for tests that cut connections."""

    def __init__(self, scheme: str, database: str) -> None:
        self.port = server_port()
        self.proxy = TcpProxy("127.0.0.1", self.port)
        self.url = f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"
        self.account, self.proxied_account = (
            {"url": f"{scheme}://127.0.0.1:{port}/{database}", "username": USER, "password": PASSWORD}
            for port in (self.port, self.proxy.port)
        )
        self._process: ServerProcess

    @property
    @abstractmethod
    def _unreachable(self) -> type[Exception]:
        """What the driver raises when it cannot connect."""

    def start(self) -> None:
        """Start it, or start it again with all that it had, where it was."""
        self._process.start(self._is_ready)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()

    def _is_ready(self) -> bool:
        try:
            self.connect().close()
        except self._unreachable:
            return False
        return True
