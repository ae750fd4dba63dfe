"""What other processes write to stderr, written by this one."""

from __future__ import annotations

import os
import sys
import threading

__all__ = ["Relay"]


class Relay:
    """A pipe whose lines are written to this process's stderr."""

    def __enter__(self) -> Relay:
        receiving, self.descriptor = os.pipe()
        self._thread = threading.Thread(target=self._relay, args=(receiving,), name="relay", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self._thread.join()

    def _relay(self, receiving: int) -> None:
        with open(receiving, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                sys.stderr.write(line)
