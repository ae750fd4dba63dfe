"""Standard streams that belong to the flow alone.

Rust code prints what it thinks of an error, or of a port that is not open yet, on the file descriptors of stdout and
stderr themselves. Python's streams move to descriptors of their own, and the noise goes to a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from flowspec.errors import FlowError

__all__ = ["noise_kept_in"]


@contextmanager
def noise_kept_in(path: Path | None) -> Iterator[None]:
    """Send what is written past Python's streams to a file, which is removed when nothing was written.

    Args:
        path: The file; without one all of it goes to stderr, so that stdout still belongs to the flow.

    Raises:
        FlowError: the file cannot be made.
    """
    noise = os.dup(2) if path is None else _opened(path)
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _moved(stdout), _moved(stderr)
    kept = {1: os.dup(1), 2: os.dup(2)}
    for descriptor in kept:
        os.dup2(noise, descriptor)
    os.close(noise)
    try:
        yield
    finally:
        for descriptor, original in kept.items():
            os.dup2(original, descriptor)
            os.close(original)
        sys.stdout.close()
        sys.stderr.close()
        sys.stdout, sys.stderr = stdout, stderr
        if path is not None and path.stat().st_size == 0:
            path.unlink()


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
    return open(os.dup(stream.fileno()), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)  # noqa: PTH123, SIM115
