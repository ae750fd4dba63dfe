"""What the first worker's process and those of the others have in common."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.peers.link import Link, Message

if TYPE_CHECKING:
    from pipelines.membership import Membership
    from pipelines.peers.waiting import Waiting

__all__ = ["LEAD", "LOOK", "Peers"]

LEAD = 0
"""The worker that the others connect to."""
LOOK = 0.1
"""Seconds between two looks at what has changed."""
_BEAT = 2.0


class Peers:
    """The other processes of the cluster, from when all are there until this one leaves."""

    def __init__(self, membership: Membership, hello: Message) -> None:
        self._membership = membership
        self._hello = hello
        self._links: dict[int, Link] = {}
        """To the workers that have a part in the cluster."""
        self._open: set[Link] = set()
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()
        self._said_stop = False
        self._lost = threading.Event()
        self.stopped_by: str | None = None
        """Which other worker was told to stop, and the cluster with it."""
        self.lost: str | None = None
        """Which other worker has failed, and why."""
        self._start(self._beat)

    def gather(self, waiting: Waiting) -> bool:
        """Wait until all are there; answers whether they are."""
        raise NotImplementedError

    def stop(self) -> None:
        """Have all others stop as well."""
        if not self._said_stop:
            self._said_stop = True
            self._tell({"say": "stopped", "worker": self._membership.worker})

    def fail(self, how: str) -> None:
        """Tell the others that this process has failed; `how` goes on from its name."""
        self._tell({"say": "failed", "worker": self._membership.worker, "how": how})

    def leave(self) -> None:
        """Tell the others that this process has come to its end."""
        self._tell({"say": "done", "worker": self._membership.worker})

    def news(self, seconds: float) -> str | None:
        """Which other worker has failed, and why; waits so long to be told."""
        self._lost.wait(seconds)
        return self.lost

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            self._closed.set()
            for link in self._open:
                link.close()
        for thread in self._threads:
            thread.join()

    def _connected(self, connection: socket.socket) -> Link:
        link = Link(connection)
        with self._lock:
            self._open.add(link)
            if self._closed.is_set():
                link.close()
        return link

    def _ended(self, link: Link) -> None:
        with self._lock:
            self._open.discard(link)
        link.free()

    def _tell(self, message: Message, but: int | None = None) -> None:
        with self._lock:
            links = [link for worker, link in self._links.items() if worker != but]
        for link in links:
            link.send(message)

    def _beat(self) -> None:
        while not self._closed.wait(_BEAT):
            self._tell({"say": "alive"})

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="peers", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def _stopped(self, message: Message) -> None:
        self.stopped_by = self.stopped_by or self._membership.name(message["worker"])

    def _lose(self, worker: int, how: str) -> None:
        """Keep the first loss."""
        with self._lock:
            if self.lost is None:
                self.lost = f"{self._membership.name(worker)}{how}"
        self._lost.set()
