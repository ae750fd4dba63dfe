"""A private MariaDB server, and what tests do with it."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from tests.servers.database import PASSWORD, USER, DatabaseServer
from tests.servers.missing import missing
from tests.servers.process import ServerProcess

__all__ = ["MariadbServer", "mariadb"]

_INSTALL = "apt-get install --no-install-recommends mariadb-server"
_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])

_INITIAL = f"""
CREATE DATABASE IF NOT EXISTS tests CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO {USER}@'%' WITH GRANT OPTION;
"""


class MariadbServer(DatabaseServer):
    """A running server; its database is `tests`, and the user of the tests may do everything."""

    _unreachable = pymysql.err.OperationalError

    def __init__(self, directory: Path) -> None:
        super().__init__("mysql+pymysql", "tests")
        data, user = directory / "data", getpass.getuser()
        create = f"mariadb-install-db --no-defaults --datadir={data} --user={user} --skip-test-db"
        made = subprocess.run(create.split(), capture_output=True, text=True, check=False, env=_environment())
        assert made.returncode == 0, made.stdout + made.stderr
        initial = directory / "initial.sql"
        initial.write_text(_INITIAL)
        settings = {
            "user": user,
            "datadir": data,
            "socket": directory / "socket",
            "pid-file": directory / "pid",
            "bind-address": "127.0.0.1",
            "port": self.port,
            "init-file": initial,
            "default-time-zone": "+00:00",
            # What is committed outlives the server's death, if not the machine's.
            "innodb-flush-log-at-trx-commit": 2,
            "innodb-log-file-size": "16M",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = ["mariadbd", "--no-defaults", "--skip-name-resolve", *options]
        self._process = ServerProcess(command, directory / "mariadb.log", _environment())

    def connect(self, *, autocommit: bool = False) -> pymysql.connections.Connection[Any]:
        """A connection of the test's own."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            database="tests",
            charset="utf8mb4",
            connect_timeout=60,
            autocommit=autocommit,
        )


@contextmanager
def mariadb(directory: Path) -> Iterator[MariadbServer]:
    """A server of its own, on the loopback interface only."""
    if shutil.which("mariadbd", path=_PATH) is None:
        missing("MariaDB", _INSTALL)
    server = MariadbServer(directory)
    try:
        server.start()
        with server.proxy:
            yield server
    finally:
        server.kill()


def _environment() -> dict[str, str]:
    return {"PATH": _PATH, "LANG": "C.UTF-8"}
