"""Waiting for other processes of a cluster."""

from __future__ import annotations

import logging
import socket
import threading

from pipelines.membership import Membership
from pipelines.running import RunError

__all__ = ["RETRY", "Waiting", "listen"]

_log = logging.getLogger(__name__)

RETRY = 0.5
"""Seconds between two tries."""


class Waiting:
    """Says what is waited for when that changes."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._said: str | None = None

    def is_over(self, seconds: float = 0.0) -> bool:
        """Whether a stop was asked for, within so many seconds."""
        return self._stopping.wait(seconds)

    def say(self, what: str) -> None:
        """Log what is waited for, if it is something else than before."""
        if what != self._said:
            self._said = what
            _log.info("waiting for %s", what)


def listen(membership: Membership, waiting: Waiting) -> socket.socket | None:
    """Listen where the others look for this process; None when a stop is asked for before its name is known.

    Raises:
        RunError: that cannot be.
    """
    host, port = membership.own
    while True:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(address, family=family)
        except socket.gaierror as error:
            # The name of a pod is known only a while after its start.
            waiting.say(f"a host of the name {host}: {error.strerror}")
            if waiting.is_over(RETRY):
                return None
        except OSError as error:
            msg = (
                f"{membership.name(membership.worker)} cannot listen there: {error.strerror or error}; the address of "
                "this process in --addresses has to be one of this machine, with a port that is free"
            )
            raise RunError(msg) from error
