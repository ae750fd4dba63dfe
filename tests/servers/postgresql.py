"""A private PostgreSQL server, and what tests do with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.servers.database import PASSWORD, USER, DatabaseServer
from tests.servers.missing import missing
from tests.servers.process import ServerProcess

__all__ = ["PostgresServer", "postgresql"]

_INSTALL = "apt-get install --no-install-recommends postgresql"
# It does not run as root.
_AS_POSTGRES = ("setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups")


class PostgresServer(DatabaseServer):
    """A running server; its database is `postgres`, and the user of the tests may do everything."""

    _unreachable = psycopg.OperationalError

    def __init__(self, programs: Path, directory: Path, log: Path) -> None:
        super().__init__("postgresql+psycopg", "postgres")
        self._data = directory / "data"
        self._user = _AS_POSTGRES if os.geteuid() == 0 else ()
        self._create(programs, directory)
        # What is committed outlives the server's death, if not the machine's.
        settings = f"-h 127.0.0.1 -p {self.port} -k {directory} -c fsync=off -c timezone=UTC".split()
        command = [*self._user, str(programs / "postgres"), "-D", str(self._data), *settings]
        self._process = ServerProcess(command, log, _environment())

    def kill(self) -> None:
        """kill -9, of all its processes."""
        pid_file = self._data / "postmaster.pid"
        backends = _children(pid_file.read_text().split()[0]) if pid_file.exists() else []
        super().kill()
        # They would end by themselves, but not before the statement that they run, and keep a new server from starting.
        for pid in backends:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # What it says may soon be another process.
        pid_file.unlink(missing_ok=True)

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of the test's own."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname="postgres",
            user=USER,
            password=PASSWORD,
            connect_timeout=60,
            autocommit=autocommit,
        )

    def _create(self, programs: Path, directory: Path) -> None:
        password = directory / "password"
        password.write_text(PASSWORD)
        how = f"-A scram-sha-256 -U {USER} --no-sync --locale=C --encoding=UTF8".split()
        command = [*self._user, str(programs / "initdb"), "-D", str(self._data), "--pwfile", str(password), *how]
        made = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
        assert made.returncode == 0, made.stderr


@contextmanager
def postgresql(directory: Path) -> Iterator[PostgresServer]:
    """A server of its own, on the loopback interface only."""
    programs = _programs()
    if programs is None:
        missing("PostgreSQL", _INSTALL)
    # Another user than the one of the tests cannot read what is below the directories of pytest.
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as own:
        if os.geteuid() == 0:
            shutil.chown(own, "postgres", "postgres")
        server = PostgresServer(programs, Path(own), directory / "postgresql.log")
        try:
            server.start()
            with server.proxy:
                yield server
        finally:
            server.kill()


def _programs() -> Path | None:
    """Where the server is; of several the newest, which Debian has in a directory named by its version."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    in_path = shutil.which("initdb")
    found = [*debian, *([Path(in_path).parent] if in_path else [])]
    return next((path for path in found if (path / "initdb").exists()), None)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def _children(pid: str) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
