"""Looking for files, again and again, at a cost that is bearable in large folders too."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from flowspec.errors import FatalError, TransientError
from sources.files.found import Found
from sources.files.pattern import Levels, Pattern

__all__ = ["Folder", "Scan"]

_SHARE = 20
"""A look at every single file is made when at most one part in so many of the time is spent with it."""
_GRAIN = 2.0
"""Seconds within which two changes of a folder may have the same time."""


@dataclass
class _Listing:
    """The files of one folder."""

    levels: Levels
    modified: int
    """When the folder was changed last, in nanoseconds since the epoch."""
    at: float
    """When it was looked at, in seconds since the epoch."""
    files: dict[str, Found] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    """Paths of those that were not known."""
    others: dict[int, str] = field(default_factory=dict)
    below: list[tuple[str, Levels]] = field(default_factory=list)

    def is_current(self, modified: int, levels: Levels) -> bool:
        """Whether the folder still has the same names."""
        return (self.modified, self.levels) == (modified, levels) and self.at - modified / 1e9 > _GRAIN


@dataclass
class Scan:
    """What a look at all files has found."""

    device: int
    """The one that the folder is on."""
    listings: dict[str, _Listing] = field(default_factory=dict)
    faults: list[OSError] = field(default_factory=list)
    """What could not be looked at."""

    @property
    def count(self) -> int:
        """How many files match."""
        return sum(len(listing.files) for listing in self.listings.values())

    def fresh(self) -> list[Found]:
        """Those that were not known."""
        return [listing.files[path] for listing in self.listings.values() for path in listing.fresh]

    def identities(self) -> Iterator[int]:
        """Those of all that match."""
        return (found.identity for listing in self.listings.values() for found in listing.files.values())

    def others(self) -> dict[int, str]:
        """Files of the same folders that do not match, by inode."""
        return {inode: path for listing in self.listings.values() for inode, path in listing.others.items()}


class Folder:
    """Files that match a path.

    A folder that was not changed is not listed again, and of files that are known it is only sometimes asked whether
    they were changed: each time while that is cheap, otherwise every so often.
    """

    def __init__(self, path: str, *, but: str | None = None, logs: bool = False) -> None:
        """Look for `path`, a folder, a file, or a pattern.

        Args:
            path: The path.
            but: A folder that is left out.
            logs: Whether it is for logs, so that a path at which there is nothing is one of those.
        """
        self._path = path
        self._logs = logs
        self._but = None if but is None else os.path.realpath(but)
        self._last: dict[str, _Listing] = {}
        self._complete_at = 0.0
        """When every file is to be looked at again."""

    def scan(self, check: Callable[[], None], known: Container[int] = ()) -> Scan:
        """Look at all files; `check` is called now and then, and may raise.

        Args:
            check: Called now and then; may raise.
            known: Identities of files that are not asked for.

        Raises:
            TransientError: the folder is not there, or cannot be read now.
            FatalError: the folder must not be read, or is none.
        """
        began = time.monotonic()
        is_complete = began >= self._complete_at
        pattern = Pattern(self._path, is_log=self._logs)
        try:
            scan = Scan(os.stat(pattern.root).st_dev)  # noqa: PTH116 - a text, as all paths here
            last = {} if is_complete else self._last
            walk = _Walk(pattern, but=self._but, known=known, check=check, last=last, scan=scan)
            walk.enter(pattern.root, pattern.first)
        except OSError as error:
            raise _fault_of_root(pattern.root, error) from error
        self._last = scan.listings
        if is_complete:
            ended = time.monotonic()
            self._complete_at = ended + (_SHARE - 1) * (ended - began)
        return scan


def _fault_of_root(root: str, error: OSError) -> Exception:
    if error.errno == errno.ENOENT:
        return TransientError(f"folder {root} does not exist (yet)")
    msg = f"folder {root} cannot be read: {error.strerror or error}"
    return FatalError(msg) if error.errno in (errno.ENOTDIR, errno.EACCES, errno.EPERM) else TransientError(msg)


@dataclass
class _Walk:
    """One look at all files; each folder is read once, whatever ways the pattern has to match it."""

    pattern: Pattern
    but: str | None
    """A folder that is left out."""
    known: Container[int]
    check: Callable[[], None]
    last: dict[str, _Listing]
    """What the last look found, as far as it may still be so."""
    scan: Scan

    def enter(self, folder: str, levels: Levels) -> None:
        """Look at a folder and at those below it.

        Raises:
            OSError: it cannot be read.
        """
        self.check()
        now, modified = time.time(), os.stat(folder).st_mtime_ns  # noqa: PTH116
        last = self.last.get(folder)
        if last is not None and last.is_current(modified, levels):
            listing = last
            self._look_again(listing)
        else:
            listing = _Listing(levels, modified, now)
            self._list(folder, listing, {} if last is None else last.files)
        self.scan.listings[folder] = listing
        for each, following in listing.below:
            try:
                self.enter(each, following)
            except OSError as error:
                self._note(error)

    def _look_again(self, listing: _Listing) -> None:
        """See what became of the files that were not known."""
        paths, listing.fresh = listing.fresh, []
        for path in paths:
            try:
                if listing.files[path].identity not in self.known:
                    self._add(path, os.stat(path), listing)  # noqa: PTH116
            except OSError as error:
                listing.files.pop(path)
                self._note(error)

    def _list(self, folder: str, listing: _Listing, last: dict[str, Found]) -> None:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if not number % 1000:
                    self.check()
                try:
                    self._look_at(entry, listing, last)
                except OSError as error:
                    self._note(error)

    def _look_at(self, entry: os.DirEntry[str], listing: _Listing, last: dict[str, Found]) -> None:
        path = entry.path
        was = last.get(path)
        if was is not None and was.inode == entry.inode() and was.identity in self.known:
            listing.files[path] = was
        elif entry.is_dir():
            following = self.pattern.below(entry.name, entry.is_symlink(), listing.levels)
            if following and not self._is_left_out(path):
                listing.below.append((path, following))
        elif self.pattern.has_file(entry.name, listing.levels):
            self._add(path, entry.stat(), listing)
        else:
            listing.others[entry.inode()] = path

    def _add(self, path: str, status: os.stat_result, listing: _Listing) -> None:
        if stat.S_ISREG(status.st_mode):
            found = listing.files[path] = Found.of(path, status)
            if found.identity not in self.known:
                listing.fresh.append(path)

    def _is_left_out(self, folder: str) -> bool:
        return self.but is not None and os.path.realpath(folder) == self.but

    def _note(self, error: OSError) -> None:
        # What is gone by now, and links that lead nowhere, are no files.
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            self.scan.faults.append(error)
