"""What the user of this process may do with folders, as far as that can be known without doing it."""

from __future__ import annotations

import os
from pathlib import Path

from flowspec.errors import FatalError

__all__ = ["check_writable", "may"]


def may(path: Path, mode: int) -> bool:
    """Whether something may be done, `os.R_OK` or another of these, by the user that this process acts as."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def check_writable(folder: Path) -> str:
    """See that files may be put into a folder, or that it may be made; says which of them.

    Raises:
        FatalError: they may not be.
    """
    there = folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        msg = f"{there} is not a folder"
        raise FatalError(msg)
    if not may(there, os.W_OK | os.X_OK):
        what = "folder" if there == folder.absolute() else f"folder {folder} cannot be made:"
        msg = f"{what} {there} must not be written; let the user of this process write it"
        raise FatalError(msg)
    return f"folder {folder} can be written" if there == folder.absolute() else f"folder {folder} can be made"
