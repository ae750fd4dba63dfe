"""The I/O threads of a reader."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flowspec.delivery.backoff import Backoff
from flowspec.errors import FatalError, TransientError

if TYPE_CHECKING:
    from flowspec.delivery.health import Health

__all__ = ["Background"]

_log = logging.getLogger(__name__)


class Background:
    """Threads that each repeat one piece of I/O until they are stopped.

    A `TransientError` is reported to `health` and the piece is repeated after a backoff, for ever. Anything else
    ends the thread and is handed to `failed`.
    """

    def __init__(self, name: str, health: Health, failed: Callable[[Exception], None]) -> None:
        self._name = name
        self._health = health
        self._failed = failed
        self._threads: list[threading.Thread] = []

    def start(self, piece: Callable[[], None], stopping: threading.Event, purpose: str) -> None:
        """Repeat `piece` on a thread of its own until `stopping` is set."""
        # Daemons: a thread inside a twenty-second long poll must not hold up the end of the process.
        thread = threading.Thread(
            target=self._repeat, args=(piece, stopping), name=f"{self._name}-{purpose}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _repeat(self, piece: Callable[[], None], stopping: threading.Event) -> None:
        backoff = Backoff()
        while not stopping.is_set():
            try:
                piece()
            except TransientError as error:
                # A call that the end of the flow cut off says nothing about the system.
                if not stopping.is_set():
                    self._health.down(error)
                stopping.wait(backoff.after(error))
            except FatalError as error:
                self._failed(error)
                return
            except Exception as error:  # noqa: BLE001 - a bug must stop the flow, not one thread in silence
                _log.exception("%s: unexpected error", threading.current_thread().name)
                self._failed(error)
                return
            else:
                backoff.reset()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for all threads to end; answers whether they did."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)
