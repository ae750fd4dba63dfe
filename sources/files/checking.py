"""What can be known of files before they are read."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flowspec.errors import FatalError, TransientError
from sources.files.pattern import Pattern
from sources.files.rights import check_writable, may
from sources.files.scanning import Folder

if TYPE_CHECKING:
    from sources.files.trigger import NewFiles

__all__ = ["check_files"]

_PATIENCE = 8.0
"""Seconds for a look at all folders."""


def check_files(trigger: NewFiles) -> str:
    """See that the folder is there, that its files may be read, and that they may leave where they are to.

    Raises:
        TransientError: the folder is not there yet, or the look at it takes too long.
        FatalError: something of it is not allowed.
    """
    until = time.monotonic() + _PATIENCE

    def check() -> None:
        if time.monotonic() > until:
            msg = f"the look at {trigger.path} takes longer than {_PATIENCE:g} s: there are very many files"
            raise TransientError(msg)

    scan = Folder(trigger.path, but=trigger.move_to, logs=trigger.grow).scan(check)
    for error in scan.faults:
        msg = f"{os.fsdecode(error.filename or '')} cannot be looked at: {error.strerror or error}"
        raise FatalError(msg)
    files = scan.fresh()
    for found in files:
        if not may(Path(found.path), os.R_OK):
            msg = f"{found.path} must not be read; let the user of this process read it"
            raise FatalError(msg)
    root = Pattern(trigger.path, is_log=trigger.grow).root
    said = f"folder {root} can be read, {len(files):,} {'file matches' if len(files) == 1 else 'files match'}"
    if trigger.after != "keep":
        for folder in sorted({root, *(found.folder for found in files)}):
            check_writable(Path(folder))
        said += ", and files can leave it"
    if trigger.move_to is not None:
        said += f"; {check_writable(Path(trigger.move_to))}"
    return said
