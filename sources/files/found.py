"""A file, as it was when it was looked at."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Found"]

_BITS = 2**64 - 1
_INODE, _SIZE, _TIME = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
"""Odd numbers without a pattern."""


class Found(NamedTuple):
    """A file, as it was when it was looked at."""

    path: str
    device: int
    inode: int
    size: int
    modified: int
    """When its content was changed last, in nanoseconds since the epoch, as the file says."""
    changed: int
    """The same of whatever the file system keeps of it; nobody can set that."""

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> Found:
        """A file with what the system says about it."""
        return cls(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @property
    def name(self) -> str:
        """Its name in its folder."""
        return os.path.basename(self.path)  # noqa: PTH119 - paths are texts here, of which there may be 100,000

    @property
    def folder(self) -> str:
        """Where it is."""
        return os.path.dirname(self.path)  # noqa: PTH120 - as above

    @property
    def identity(self) -> int:
        """64 bits that stay the same when it is renamed, and are others when it is changed.

        The device is no part of them: its number is another one after a restart of the machine.
        """
        return (self.inode * _INODE + self.size * _SIZE + self.modified * _TIME) & _BITS
