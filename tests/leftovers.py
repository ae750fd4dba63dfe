"""What a test must not leave behind: processes, and threads that keep the interpreter from ending."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

__all__ = ["Leftovers", "Servers"]

T = TypeVar("T")

_PATIENCE = 5.0
"""Seconds for what is about to end."""


class Servers:
    """The processes that are meant to outlive a test: they end with the session."""

    def __init__(self) -> None:
        self.processes: set[int] = set()

    @contextmanager
    def kept(self, server: AbstractContextManager[T]) -> Iterator[T]:
        """Start a server that stays."""
        before = _children()
        with server as started:
            self.processes |= _children() - before
            yield started


class Leftovers:
    """What runs after a test, and did not before it."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._processes = _children()
        self._threads = _threads()

    def end(self) -> list[str]:
        """Kill the processes that are left; answers what was left, described."""
        until = time.monotonic() + _PATIENCE
        while self._left() and time.monotonic() < until:
            time.sleep(0.05)
        left = self._left()
        for pid in _children() - self._processes - self._servers.processes:
            os.kill(pid, signal.SIGKILL)
        return left

    def _left(self) -> list[str]:
        processes = _children() - self._processes - self._servers.processes
        threads = _threads() - self._threads
        return [f"process {pid}: {_command(pid)}" for pid in sorted(processes)] + [
            f"thread {thread.name}" for thread in threads
        ]


def _children() -> set[int]:
    """The processes that this one started, on whichever thread, and that still run."""
    found = set()
    # Only Linux says it; elsewhere only threads are looked at.
    for task in Path("/proc/self/task").glob("*"):
        with suppress(OSError):  # The thread ended meanwhile.
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return {pid for pid in found if _runs(pid)}


def _runs(pid: int) -> bool:
    """Whether a process has not ended; one that has, but nobody has asked how, is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}
