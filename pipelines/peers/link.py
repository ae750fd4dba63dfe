"""Messages between two processes of a cluster."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any, TypeAlias

import orjson

__all__ = ["SILENCE", "Link", "Message"]

SILENCE = 15.0
"""Seconds after which one that says nothing counts as lost."""
_LONGEST = 65_536
"""Bytes of a message."""

Message: TypeAlias = dict[str, Any]


class Link:
    """A connection to another process of the cluster."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(SILENCE)
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._sending = threading.Lock()
        self.end = "its connection has ended"
        """Why it says nothing more."""

    def send(self, message: Message) -> None:
        """Say something; whoever is gone cannot be told, and that is noticed where it is listened to."""
        with self._sending, suppress(OSError):
            self._connection.sendall(orjson.dumps(message) + b"\n")

    def receive(self) -> Message | None:
        """The next message; None when there is none any more."""
        try:
            message = orjson.loads(self._lines.readline(_LONGEST))
        except TimeoutError:
            self.end = f"nothing was heard of it for {SILENCE:g} s"
            return None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """End it, and wake up who listens to it."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def free(self) -> None:
        """Give its descriptor back; nobody may use it any more."""
        self._lines.close()
        self._connection.close()
