"""What becomes of files that are delivered: they are deleted, or moved to another folder."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowspec.errors import FatalError, TransientError
from sources.files.found import Found

__all__ = ["settle"]

_FATAL = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What a file system says that has no hard links, or no more of them."""


def settle(files: Sequence[tuple[Path, int]], move_to: Path | None) -> None:
    """Have files leave their folder; one that is gone has left, and one that was changed since stays as a new one.

    May be called again, also after a crash in the middle.

    Args:
        files: The files, with what they were when they were read.
        move_to: Where they go; they are deleted without that.

    Raises:
        TransientError: it cannot be done now.
        FatalError: it must not be done.
    """
    if move_to is not None:
        for path, identity in files:
            with _explained(path, move_to):
                if _is(path, identity):
                    move_to.mkdir(parents=True, exist_ok=True)
                    _move(path, move_to)
        _sync(move_to)
    for path, identity in files:
        with _explained(path, move_to):
            if _is(path, identity):
                path.unlink()


@contextlib.contextmanager
def _explained(path: Path, move_to: Path | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        goes = "deleted" if move_to is None else f"moved to {move_to}"
        msg = f"{path} was delivered and cannot be {goes}: {error.strerror or error}"
        if error.errno in _FATAL:
            msg += "; give the flow the right to do it, or have `after` be `keep`"
            raise FatalError(msg) from error
        raise TransientError(msg) from error


def _is(path: Path, identity: int) -> bool:
    return Found.of(str(path), path.stat()).identity == identity


def _move(path: Path, folder: Path) -> None:
    """Have the file in `folder` as well, under its name, or with a number where another has that."""
    number = 1
    while True:
        target = folder / (path.name if number == 1 else f"{path.stem}-{number}{path.suffix}")
        if _is_there(path, target) or _put(path, target):
            return
        number += 1


def _is_there(path: Path, target: Path) -> bool:
    """Whether `target` is the file, or the copy of it, that a crash kept from being moved to the end."""
    try:
        there, here = target.stat(), path.stat()
    except FileNotFoundError:
        return False
    if there.st_dev == here.st_dev:
        return there.st_ino == here.st_ino
    return (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)


def _put(path: Path, target: Path) -> bool:
    """Link or copy the file; answers False where another has that name."""
    try:
        # A rename would put it in the place of another file.
        os.link(path, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.EXDEV:
            return _copy(path, target)
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            return False
        path.rename(target)
    return True


def _copy(path: Path, target: Path) -> bool:
    fresh = target.with_name(f".{target.name}.part")
    try:
        with path.open("rb") as source, fresh.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1024 * 1024)
            copy.flush()
            shutil.copystat(path, fresh)
            os.fsync(copy.fileno())
        if target.exists():
            return False
        fresh.rename(target)
    finally:
        fresh.unlink(missing_ok=True)
    return True


def _sync(folder: Path) -> None:
    """Have the new name on the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
