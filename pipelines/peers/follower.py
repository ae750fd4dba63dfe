"""The process of every other worker in a cluster on several machines."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from pipelines.membership import host_and_port
from pipelines.peers.peers import LEAD, LOOK, Peers
from pipelines.peers.waiting import RETRY, listen

if TYPE_CHECKING:
    from pipelines.membership import Membership
    from pipelines.peers.link import Link, Message
    from pipelines.peers.waiting import Waiting

__all__ = ["Follower"]

_CONNECT = 5.0
"""Seconds until a call that nobody answers is made again."""


class Follower(Peers):
    """The process of another worker."""

    def __init__(self, membership: Membership, hello: Message) -> None:
        super().__init__(membership, hello)
        self._begun = threading.Event()
        self._done = False
        self._why: str | None = None
        """Why the first worker does not take this one."""

    def gather(self, waiting: Waiting) -> bool:
        """Call the first worker until it says that all are there."""
        listener = listen(self._membership, waiting)
        if listener is None:
            return False
        # It was only to be seen that Bytewax can listen there.
        listener.close()
        lead = self._membership.name(LEAD)
        while not waiting.is_over():
            try:
                connection = socket.create_connection(host_and_port(self._membership.addresses[LEAD]), _CONNECT)
            except OSError as error:
                waiting.say(f"{lead}: {error.strerror or error}")
            else:
                self._why = None
                link = self._connected(connection)
                with self._lock:
                    self._links[LEAD] = link
                self._start(self._serve, link, waiting)
                link.send(self._hello)
                while LEAD in self._links and not self._begun.is_set() and not waiting.is_over(LOOK):
                    pass
                if self._begun.is_set():
                    return True
                waiting.say(f"{lead}: {self._why or link.end}")
            waiting.is_over(RETRY)
        return False

    def _serve(self, link: Link, waiting: Waiting) -> None:
        while (message := link.receive()) is not None:
            self._take(message, waiting)
        with self._lock:
            del self._links[LEAD]
        if self._begun.is_set() and not self._done and not self._closed.is_set():
            self._lose(LEAD, f" is lost: {link.end}")
        self._ended(link)

    def _take(self, message: Message, waiting: Waiting) -> None:
        say = message.get("say")
        if say == "waiting":
            waiting.say(message["for"])
        elif say == "refused":
            self._why = f"it refuses this process: {message['why']}"
        elif say == "go":
            self._begun.set()
        elif say == "stopped":
            self._stopped(message)
        elif say == "failed":
            self._lose(message["worker"], message["how"])
        elif say == "done":
            self._done = True
