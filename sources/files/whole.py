"""The poller of new files, each of which is read once, from its beginning to its end."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from flowspec.polling import Page
from sources.files.found import Found
from sources.files.page import Filling
from sources.files.polling import FilesPoller, fault
from sources.files.remembered import Remembered, path_of, text_of
from sources.files.settling import settle

if TYPE_CHECKING:
    from flowspec.polling import Cursor
    from sources.contents import Opener, Resume
    from sources.files.opened import OpenedFile
    from sources.files.trigger import NewFiles

__all__ = ["WholeFilesPoller"]

_log = logging.getLogger(__name__)

_SURELY_OLD = 60.0
"""Seconds after which a file is taken to be complete by its time, however wrong the clock of a file server is."""
_PATIENCE = 2.0
"""Seconds for which a poll that finds nothing else waits for a file to be complete."""


class _Place(NamedTuple):
    """Where a record comes from."""

    ordinal: int
    """Counts the files of the page."""
    found: Found
    after: Resume | None


class _ChangedError(Exception):
    """A file is not what it was when the folder was looked at."""


class WholeFilesPoller(FilesPoller):
    """Reads files that are complete, the oldest first; what was read is remembered for as long as it exists.

    The cursor has eight bytes for each file that was read and is still there; where files leave, their paths until they
    have left; and the row at which a file is half read.
    """

    settles_before_next = False
    """A file that is to leave is remembered until it has."""

    def __init__(self, trigger: NewFiles, since: Any) -> None:
        super().__init__(trigger, since)
        self._move_to = None if trigger.move_to is None else Path(trigger.move_to)
        self._leave = trigger.after != "keep"
        self._left: frozenset[int] = frozenset()
        """Files that have left, of the cursor that was settled last."""
        self._settling: dict[int, tuple[int, float]] = {}
        """Files that are perhaps being written: what they were, and since when, by their inodes."""
        self._begin(None)

    def settle(self, cursor: Cursor) -> None:
        """Have the files leave that are delivered."""
        leaving = cursor.get("leaving", ()) if self._leave else ()
        files = [(Path(path_of(path)), identity) for path, identity in leaving if identity not in self._left]
        settle(files, self._move_to)
        self._left = frozenset(identity for _, identity in leaving)

    def _begin(self, cursor: Cursor | None) -> None:
        state = cursor or {}
        self._remembered = Remembered(state, leave=self._leave)
        self._half: dict[str, Any] | None = state.get("file")
        """The file that was half read at that cursor, until it is read on."""
        self._queue: deque[Found] = deque()
        """Files to read."""

    def _remember_all(self) -> Page:
        since = self._since.timestamp() * 1e9 if isinstance(self._since, datetime) else float("inf")
        for found in self._folder.scan(self._check).fresh():
            if found.modified < since:
                self._remembered.add(found)
        return Page([], self._remembered.states()(0), more=True)

    def _next_page(self, cursor: Cursor | None, most: int) -> Page:
        self._remembered.forget(self._left)
        self._remembered.tidy()
        faults: list[OSError] = []
        if self._file is None and not self._queue:
            faults += self._look()
        filling, places, ends = Filling(most), list[_Place](), list[int]()
        while not filling.is_full and (file := self._file or self._next_file(faults)) is not None:
            self._check()
            if not file.at_end:
                filling.add(self._take(file))
                places.append(_Place(len(ends), file.found, file.after))
            if file.at_end:
                self._remembered.add_read(file.found)
                self._close_file()
                ends.append(len(filling.records))
        if not (places or ends):
            if faults:
                raise fault(faults[0])
            return Page([], cursor)
        part = self._cursors(places, ends)
        return Page(filling.records, part(len(places)), more=bool(self._file or self._queue), part=part)

    def _cursors(self, places: list[_Place], ends: list[int]) -> Callable[[int], Cursor]:
        """What tells the cursor after the first n records of a page, of which files end at `ends`."""
        states, name = self._remembered.states(), self._format.called

        def after(count: int) -> Cursor:
            ended = sum(end <= count for end in ends)
            cursor = states(len(ends) - ended)
            if count and places[count - 1].ordinal >= ended:
                _, found, at = places[count - 1]
                cursor["file"] = {"path": text_of(found.path), "id": found.identity, "format": name, "at": at}
            return cursor

        return after

    def _next_file(self, faults: list[OSError]) -> OpenedFile | None:
        """Open the next file that can be; what is wrong with others goes to `faults`."""
        while self._queue:
            found = self._queue.popleft()
            self._check()
            if found.identity in self._remembered:
                # It has two names.
                continue
            half = self._half
            try:
                self._file = self._open(found, _opener(found), None if half is None else half["at"])
            except (_ChangedError, FileNotFoundError):
                # The next look finds it, if there is something to find.
                if half is not None:
                    self._say_lost(half)
            except OSError as error:
                if half is not None:
                    raise fault(error) from error
                faults.append(error)
            else:
                self._half = None
                return self._file
        return None

    def _look(self) -> list[OSError]:
        """Look for files to read; answers what could not be looked at."""
        until = time.monotonic() + _PATIENCE
        while True:
            scan = self._folder.scan(self._check, self._remembered)
            self._remembered.forget_gone(scan)
            fresh = scan.fresh()
            ready, wait = self._settled(fresh)
            self._queue.extend(sorted(ready, key=lambda found: (found.modified, found.path)))
            if self._half is not None:
                self._put_first(self._half, fresh)
            if self._queue or scan.faults or time.monotonic() + wait > until:
                return scan.faults
            self._wait(wait)

    def _settled(self, fresh: list[Found]) -> tuple[list[Found], float]:
        """The files that nobody is writing any more, and the seconds until there may be another one."""
        needed, now, today = self._trigger.settle_time, time.monotonic(), time.time()
        before, self._settling = self._settling, {}
        ready, wait = list[Found](), float("inf")
        for found in fresh:
            was, since = before.get(found.inode, (None, now))
            if was != found.identity:
                since = now
            left = since + needed - now
            if left <= 0 or today - max(found.modified, found.changed) / 1e9 > max(_SURELY_OLD, needed):
                ready.append(found)
            else:
                self._settling[found.inode] = (found.identity, since)
                wait = min(wait, left)
        return ready, wait

    def _put_first(self, half: dict[str, Any], fresh: list[Found]) -> None:
        """Go on with the file that is half read before all others."""
        found = next((found for found in fresh if found.identity == half["id"]), None)
        if found is None:
            self._say_lost(half)
            return
        with contextlib.suppress(ValueError):
            self._queue.remove(found)
        self._queue.appendleft(found)
        if half["format"] != self._format.called:
            _log.warning("%s was half read as %s; it is read again from its beginning", found.path, half["format"])
            half["at"] = None

    def _say_lost(self, half: dict[str, Any]) -> None:
        self._half = None
        _log.warning("%s was removed or changed when it was read up to %s", path_of(half["path"]), half["at"])


def _opener(found: Found) -> Opener:
    def open_at(offset: int) -> BinaryIO:
        file = io.FileIO(found.path)
        if Found.of(found.path, os.fstat(file.fileno())).identity != found.identity:
            file.close()
            raise _ChangedError
        file.seek(offset)
        return cast("BinaryIO", file)

    return open_at
