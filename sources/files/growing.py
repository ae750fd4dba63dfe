"""The poller of files that grow: logs, which are followed when they are renamed."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import time
import zlib
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from flowspec.errors import RecordError
from flowspec.polling import Page
from sources.contents import Content
from sources.files.found import Found
from sources.files.page import Filling
from sources.files.polling import FilesPoller, fault
from sources.files.remembered import path_of, text_of

if TYPE_CHECKING:
    from flowspec.polling import Cursor
    from sources.contents import Opener, Resume
    from sources.files.opened import OpenedFile
    from sources.files.scanning import Scan
    from sources.files.trigger import NewFiles

__all__ = ["GrowingFilesPoller"]

_log = logging.getLogger(__name__)

_HANDLES = 64
"""How many files are kept open, so that one which is deleted is read to its end."""
_WITNESS = 64
"""How many bytes before the point to go on at have to be what they were."""
_BACK = 64 * 1024
"""How many bytes from the end the beginning of the last line is looked for."""

_State = dict[str, Any]
"""What is remembered of a file: its `path` when it was found, where to go on (`at`), and a checksum of what is before
that (`sum`)."""


class _Due(NamedTuple):
    """A file that may have something to read."""

    key: str
    found: Found
    follows: bool = False
    """Whether it does not have its old name any more, or none at all."""
    ends: bool = False
    """Whether nobody writes to it any more, so that its last line needs no end."""
    is_gone: bool = False


class GrowingFilesPoller(FilesPoller):
    """Reads the lines that are written to the ends of files.

    A file is known by its inode. The cursor has its path and where to go on for each of them that is there, about 100
    bytes.
    """

    def __init__(self, trigger: NewFiles, since: Any) -> None:
        super().__init__(trigger, since)
        self._handles: OrderedDict[str, io.FileIO] = OrderedDict()
        """Files that were read, the last one at the end."""
        self._begin(None)

    def close(self) -> None:
        """Close what is open."""
        super().close()
        while self._handles:
            self._handles.popitem()[1].close()

    def _begin(self, cursor: Cursor | None) -> None:
        self._files: dict[str, _State] = dict((cursor or {}).get("files", {}))
        self._looked: dict[str, tuple[object, ...]] = {}
        """What files were when they were read to their end."""
        self._sizes: dict[str, tuple[int, float]] = {}
        """How large renamed files are, and since when."""
        self._queue: deque[_Due] = deque()
        self._followed: list[_Due] = []
        """Files that have been renamed or removed."""
        self._due: _Due | None = None
        """The file that is being read."""

    def _remember_all(self) -> Page:
        since = self._since.timestamp() * 1e9 if isinstance(self._since, datetime) else float("inf")
        for key, found in self._present(self._folder.scan(self._check)).items():
            if found.modified < since:
                try:
                    self._files[key] = self._state_at_end(found)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise fault(error) from error
        return Page([], {"files": dict(self._files)}, more=True)

    def _state_at_end(self, found: Found) -> _State:
        """The state behind the last whole line of a file."""
        with io.FileIO(found.path) as file:
            size = os.fstat(file.fileno()).st_size
            back = os.pread(file.fileno(), _BACK, max(0, size - _BACK))
            end = size - len(back) + back.rfind(b"\n") + 1
            try:
                at = self._format.behind(Content(_opener(file), growing=True), end)
            except RecordError:
                # Reading it from the beginning says so.
                at = None
            return _state(found, file, at)

    def _next_page(self, cursor: Cursor | None, most: int) -> Page:
        faults: list[OSError] = []
        before = dict(self._files)
        if self._file is None and not self._queue:
            faults += self._look()
        filling, places = Filling(most), list[tuple[str, Found, "Resume | None"]]()
        while not filling.is_full and (file := self._file or self._next_file(faults)) is not None:
            self._check()
            due = cast("_Due", self._due)
            if not file.at_end:
                filling.add(self._take(file))
                places.append((due.key, due.found, file.after))
            if file.at_end or (_offset(file.after) >= due.found.size and not due.is_gone):
                self._end(file, due)
        if self._file is not None and self._due is not None:
            self._files[self._due.key] = self._state(self._due, self._file)
        if not places and self._files == before:
            if faults:
                raise fault(faults[0])
            return Page([], cursor)
        more = bool(self._file or self._queue)
        return Page(filling.records, {"files": dict(self._files)}, more=more, part=_cursors(before, places))

    def _end(self, file: OpenedFile, due: _Due) -> None:
        """Be done with a file for now."""
        if due.is_gone:
            self._forget(due.key)
        else:
            self._files[due.key] = self._state(due, file)
            self._looked[due.key] = _look_of(due)
        self._close_file()
        self._due = None

    def _state(self, due: _Due, file: OpenedFile) -> _State:
        state = _state(due.found, self._handles[due.key], file.after)
        if due.key in self._files:
            state["path"] = self._files[due.key]["path"]
        return state

    def _next_file(self, faults: list[OSError]) -> OpenedFile | None:
        """Open the next file that can be; what is wrong with others goes to `faults`."""
        while self._queue:
            due = self._queue.popleft()
            self._check()
            if self._has_to_wait(due):
                continue
            try:
                self._file = self._opened(due)
            except FileNotFoundError:
                continue
            except OSError as error:
                faults.append(error)
                continue
            if self._file is not None:
                self._due = due
                return self._file
        return None

    def _opened(self, due: _Due) -> OpenedFile | None:
        handle = self._handle(due)
        if handle is None:
            return None
        state = self._files.get(due.key)
        at = None if state is None else state["at"]
        if state is not None and not _fits(state, handle):
            if due.follows:
                # Another file has its inode by now.
                self._forget(due.key)
                return None
            _log.info("%s was cut, or written anew: it is read from its beginning", due.found.path)
            self._forget(due.key)
            return self._opened(due)
        return self._open(due.found, _opener(handle), at, growing=not due.ends)

    def _handle(self, due: _Due) -> io.FileIO | None:
        """The file, open; None where its name leads to another one by now."""
        handle = self._handles.pop(due.key, None)
        if handle is None:
            handle = io.FileIO(due.found.path)
            status = os.fstat(handle.fileno())
            if (status.st_dev, status.st_ino) != (due.found.device, due.found.inode):
                handle.close()
                return None
        self._handles[due.key] = handle
        if len(self._handles) > _HANDLES:
            self._handles.popitem(last=False)[1].close()
        return handle

    def _forget(self, key: str) -> None:
        self._files.pop(key, None)
        self._looked.pop(key, None)
        self._sizes.pop(key, None)
        if (handle := self._handles.pop(key, None)) is not None:
            handle.close()

    def _look(self) -> list[OSError]:
        """Look for files that have something to read; answers what could not be looked at."""
        scan = self._folder.scan(self._check)
        present = self._present(scan)
        dues = [
            _Due(key, found, follows=key in self._files and self._files[key]["path"] != text_of(found.path))
            for key, found in present.items()
        ]
        dues += self._missing(scan, present)
        dues = [self._ending(due) for due in dues]
        self._followed = [due for due in dues if due.follows]
        dues = [due for due in dues if self._is_due(due)]
        self._queue.extend(sorted(dues, key=lambda due: (not due.follows, due.found.modified, due.found.path)))
        return scan.faults

    def _present(self, scan: Scan) -> dict[str, Found]:
        """The files that match, by their keys; compressed ones are copies of those that were read."""
        present: dict[str, Found] = {}
        for found in scan.fresh():
            if self._trigger.compression == "none" or not found.name.endswith(".gz"):
                local = found.device == scan.device
                present.setdefault(str(found.inode) if local else f"{found.inode}@{found.folder}", found)
        return present

    def _missing(self, scan: Scan, present: dict[str, Found]) -> list[_Due]:
        """Files that do not match any more, or are gone, and may not be read to their end."""
        dues = []
        others = scan.others()
        for key in [key for key in self._files if key not in present]:
            path = others.get(int(key)) if key.isdigit() else None
            if path is not None:
                with contextlib.suppress(OSError):
                    dues.append(_Due(key, Found.of(path, Path(path).stat()), follows=True))
            elif not scan.count or scan.faults:
                # Perhaps a disk is not mounted, or its folder cannot be read.
                continue
            elif key in self._handles:
                found = Found.of(path_of(self._files[key]["path"]), os.fstat(self._handles[key].fileno()))
                dues.append(_Due(key, found, follows=True, ends=True, is_gone=True))
            else:
                self._forget(key)
        return dues

    def _ending(self, due: _Due) -> _Due:
        """The same with what its size says: a renamed file that stays as it is gets nothing more."""
        if not due.follows or due.is_gone:
            return due
        now = time.monotonic()
        size, since = self._sizes.get(due.key, (None, now))
        if size != due.found.size:
            since = now
        self._sizes[due.key] = (due.found.size, since)
        return due._replace(ends=now - since >= self._trigger.settle_time)

    def _has_to_wait(self, due: _Due) -> bool:
        """Whether it has the name of one that is not read to its end."""
        if due.follows or due.key in self._files:
            return False
        path = text_of(due.found.path)
        befores = ((before, self._files.get(before.key)) for before in self._followed)
        return any(
            state is not None and state["path"] == path and before.found.size > _offset(state["at"])
            for before, state in befores
        )

    def _is_due(self, due: _Due) -> bool:
        if due.is_gone:
            return True
        offset = _offset(self._files[due.key]["at"]) if due.key in self._files else 0
        looked = self._looked.get(due.key)
        if due.found.size == offset:
            # One that was written anew may be as long as it was.
            return looked is not None and looked[1] != due.found.modified
        return looked != _look_of(due)


def _look_of(due: _Due) -> tuple[object, ...]:
    return due.found.size, due.found.modified, due.ends


def _offset(at: Resume | None) -> int:
    return 0 if at is None else int(at.get("offset", 0))


def _state(found: Found, file: io.FileIO, at: Resume | None) -> _State:
    return {"path": text_of(found.path), "at": at, "sum": _sum(file, _offset(at))}


def _sum(file: io.FileIO, offset: int) -> int:
    size = min(offset, _WITNESS)
    return zlib.crc32(os.pread(file.fileno(), size, offset - size))


def _fits(state: _State, file: io.FileIO) -> bool:
    """Whether a file still has what was read of it."""
    offset = _offset(state["at"])
    if os.fstat(file.fileno()).st_size < offset:
        return False
    return "sum" not in state or state["sum"] == _sum(file, offset)


def _opener(file: io.FileIO) -> Opener:
    def open_at(offset: int) -> BinaryIO:
        again = io.FileIO(os.dup(file.fileno()))
        again.seek(offset)
        return cast("BinaryIO", again)

    return open_at


def _cursors(before: dict[str, _State], places: list[tuple[str, Found, Resume | None]]) -> Callable[[int], Cursor]:
    """What tells the cursor after the first n records of a page."""

    def after(count: int) -> Cursor:
        files = dict(before)
        for key, found, at in places[:count]:
            path = files[key]["path"] if key in files else text_of(found.path)
            files[key] = {"path": path, "at": at}
        return {"files": files}

    return after
