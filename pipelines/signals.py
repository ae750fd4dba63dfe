"""SIGTERM and SIGINT: the first asks for a stop, the second for an end at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ignore_signals", "on_signals"]

_STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_signals(first: Callable[[], None], second: Callable[[], None]) -> Iterator[None]:
    """Call `first` at the first signal and `second` at the next, on a thread of its own.

    A handler in Python waits until the main thread runs Python code, which may be long in a dataflow or an SDK. The
    signal's number in a pipe does not.
    """
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    handlers = {number: signal.signal(number, _ignore) for number in _STOPPING}
    previous = signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    thread = threading.Thread(target=_listen, args=(receiving, first, second), name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(sending)
        thread.join()
        os.close(receiving)


def ignore_signals() -> None:
    """Leave the signals of the terminal and the container to somebody else."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _listen(receiving: int, first: Callable[[], None], second: Callable[[], None]) -> None:
    seen = 0
    while numbers := os.read(receiving, 16):
        for number in numbers:
            if number in _STOPPING:
                seen += 1
                (first if seen == 1 else second)()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Without a handler of Python nothing is written to the pipe."""
