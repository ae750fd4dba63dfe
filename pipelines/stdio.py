"""Standard streams that belong to the flow alone.

Rust code prints what it thinks of an error, or of a port that is not open yet, on the file descriptors of stdout and
stderr themselves. Python's streams move to descriptors of their own, and the noise goes to a file.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import TextIO

from flowspec.errors import FlowError

__all__ = ["drop_if_silent", "keep_noise", "keep_uncaught"]


def keep_noise(path: Path | None) -> None:
    """Send what is written past Python's streams to a file, from now to the end of the process.

    Args:
        path: The file; without one all of it goes to stderr, so that stdout still belongs to the flow.

    Raises:
        FlowError: the file cannot be made.
    """
    noise = os.dup(2) if path is None else _opened(path)
    sys.stdout, sys.stderr = _moved(sys.stdout), _moved(sys.stderr)
    os.dup2(noise, 1)
    os.dup2(noise, 2)
    os.close(noise)


def keep_uncaught() -> None:
    """Count what nobody catches as noise: of a cluster that fails, Bytewax prints so what other threads die of."""
    sys.excepthook = _to_the_noise


def drop_if_silent(path: Path | None) -> None:
    """Remove the file again if nothing was written to it."""
    if path is not None and path.exists() and path.stat().st_size == 0:
        path.unlink()


def _to_the_noise(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    os.write(2, "".join(traceback.format_exception(kind, error, trace)).encode("utf-8", "replace"))


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    except OSError as error:
        msg = f"cannot write to the state directory: {path}: {error.strerror or error}"
        raise FlowError(msg) from error


def _moved(stream: TextIO) -> TextIO:
    """The same stream on a descriptor of its own."""
    stream.flush()
    return os.fdopen(os.dup(stream.fileno()), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)
