"""Where the cursors of polling triggers are kept: a file for each flow and trigger, in the state directory."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from flowspec.errors import FatalError, TransientError

__all__ = ["CursorStore", "Saved", "as_json"]

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS


@dataclass(frozen=True)
class Saved:
    """What is kept of a trigger."""

    basis: dict[str, Any] | None = None
    """What the cursor is good for; None where there is none."""
    cursor: Any = None
    """Everything up to here is delivered; None where nothing was yet."""
    since: Any = None
    """Where to begin, as somebody has set it by hand; None where that is up to the spec."""
    saved_at: str = ""

    @property
    def is_set(self) -> bool:
        """Whether somebody has said by hand where to begin."""
        return self.saved_at != "" and self.basis is None

    def beginning(self, since: Any) -> Any:
        """Where to begin without a cursor: as it was set by hand, or else at the `since` of the spec."""
        return since if self.since is None else self.since

    def check(self, basis: dict[str, Any]) -> None:
        """See that the cursor is good for a trigger.

        Raises:
            FatalError: it is one of something else.
        """
        was = self.basis
        if was is None or was == basis:
            return
        changed = [name for name in {**was, **basis} if was.get(name) != basis.get(name)]
        differences = ", ".join(f"{name} was {was.get(name)!r} and is {basis.get(name)!r}" for name in changed)
        msg = (
            f"the saved cursor is of something else: {differences}. Undo the change; or begin anew as `since` says, "
            f"with `python -m pipelines cursor SPEC reset`; or at a value, with `python -m pipelines cursor SPEC set "
            f"VALUE`; or give the flow another name"
        )
        raise FatalError(msg)


class CursorStore:
    """The cursor of one flow's trigger. A flow that is edited keeps it; a renamed one, or another trigger, begins anew.

    It is written to a new file that then replaces the old one, so a crash leaves the one or the other. Only one process
    may use it at a time.
    """

    def __init__(self, state_dir: Path, flow: str, trigger: str) -> None:
        """Keep the cursor of a trigger, `connector.event`, of a flow; nothing is touched yet."""
        self.path = state_dir / "cursors" / f"{flow}.{trigger}.json"
        self._lock: int | None = None

    def lock(self) -> None:
        """Have the cursor for this process alone, until `close`.

        Raises:
            TransientError: another process has it.
            FatalError: the state directory cannot be written.
        """
        if self._lock is not None:
            return
        path = self.path.with_suffix(".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            msg = f"the cursor cannot be kept in {path.parent}: {error.strerror or error}"
            raise FatalError(msg) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            os.close(file)
            msg = f"another run of this flow, process {holder or 'unknown'}, has the cursor {self.path}"
            raise TransientError(msg) from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._lock = file

    def load(self) -> Saved:
        """What is kept.

        Raises:
            FatalError: the file cannot be read.
        """
        try:
            return Saved(**orjson.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return Saved()
        except (OSError, TypeError, orjson.JSONDecodeError) as error:
            msg = f"the cursor in {self.path} cannot be read: {error}; remove the file to begin as `since` says"
            raise FatalError(msg) from error

    def save(self, basis: dict[str, Any], cursor: Any) -> None:
        """Keep a cursor; when it returns it is on the disk.

        Raises:
            TransientError: it cannot be written now.
        """
        self._write(Saved(basis, cursor))

    def begin_at(self, since: Any) -> None:
        """Have the next run begin at a value, whatever was delivered.

        Raises:
            TransientError: it cannot be written now.
        """
        self._write(Saved(since=since))

    def reset(self) -> None:
        """Have the next run begin as its spec says.

        Raises:
            TransientError: it cannot be written now.
        """
        self._write(Saved())

    def close(self) -> None:
        """Let another process have the cursor."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, saved: Saved) -> None:
        content = {
            "basis": saved.basis,
            "cursor": saved.cursor,
            "since": saved.since,
            "saved_at": datetime.now(timezone.utc),
        }
        fresh = self.path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(as_json(content))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as error:
            msg = f"the cursor cannot be saved in {self.path}: {error.strerror or error}"
            raise TransientError(msg) from error


def as_json(cursor: Any) -> bytes:
    """A cursor, or what has one in it, as it is kept."""
    return orjson.dumps(cursor, default=_made, option=_OPTIONS)


def _made(cursor: Any) -> Any:
    return cursor.as_json()
