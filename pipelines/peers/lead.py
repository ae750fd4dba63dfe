"""The first worker's process in a cluster on several machines."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from pipelines.peers.peers import LOOK, Peers
from pipelines.peers.waiting import listen

if TYPE_CHECKING:
    from pipelines.membership import Membership
    from pipelines.peers.link import Link, Message
    from pipelines.peers.waiting import Waiting

__all__ = ["Lead"]

_log = logging.getLogger(__name__)

_ALIKE = {
    "flow": "it runs the flow {}, and the first worker {}",
    "version": "it is of version {}, and the first worker of {}",
    "workers": "it knows {} addresses, and the first worker {}",
    "spec": "its spec is another one than the first worker's",
}
"""What has to be the same for all workers, and what is said where it is not."""


class Lead(Peers):
    """The first worker's process, which the others connect to."""

    def __init__(self, membership: Membership, hello: Message) -> None:
        super().__init__(membership, hello)
        self._begun = False
        self._done: set[int] = set()
        self._refused: set[str] = set()

    def gather(self, waiting: Waiting) -> bool:
        """Listen until all have come; then they begin."""
        listener = listen(self._membership, waiting)
        if listener is None:
            return False
        with listener:
            listener.settimeout(LOOK)
            while not waiting.is_over():
                with suppress(TimeoutError, ConnectionError):
                    connection, address = listener.accept()
                    self._start(self._serve, self._connected(connection), address[0])
                with self._lock:
                    missing = self._missing()
                    if not missing:
                        # Under the lock: who leaves from now on is lost.
                        self._begun = True
                        break
                waiting.say(missing)
        if self._begun:
            # Only now is the port free for Bytewax.
            self._tell({"say": "go"})
        return self._begun

    def _missing(self) -> str:
        others = range(1, len(self._membership.addresses))
        return ", ".join(self._membership.name(each) for each in others if each not in self._links)

    def _serve(self, link: Link, host: str) -> None:
        worker = self._admit(link, host)
        if worker is not None:
            while (message := link.receive()) is not None:
                self._take(worker, message)
            self._drop(worker, link)
        self._ended(link)

    def _admit(self, link: Link, host: str) -> int | None:
        """Which worker it is; None for whoever has no part in the cluster."""
        hello = link.receive()
        if hello is None or hello.get("say") != "hello":
            return None
        worker: int | None = hello.get("worker")
        with self._lock:
            why = self._objection(hello)
            if why is None and worker is not None:
                self._links[worker] = link
            missing = self._missing()
        if why is not None:
            link.send({"say": "refused", "why": why})
            said = f"worker {worker} on {host} is refused: {why}"
            if said not in self._refused:
                self._refused.add(said)
                _log.warning("%s", said)
            return None
        if missing:
            self._tell({"say": "waiting", "for": missing})
        return worker

    def _objection(self, hello: Message) -> str | None:
        """Why one is no worker of this cluster, or none that is missing."""
        for what, said in _ALIKE.items():
            if hello.get(what) != self._hello[what]:
                return said.format(hello.get(what), self._hello[what])
        worker = hello.get("worker")
        if not isinstance(worker, int) or not 0 < worker < len(self._membership.addresses):
            return f"there is no worker {worker} that could come"
        return f"worker {worker} is there already" if worker in self._links or self._begun else None

    def _take(self, worker: int, message: Message) -> None:
        say = message.get("say")
        if say == "stopped":
            self._tell(message, but=worker)
            self._stopped(message)
        elif say == "failed":
            self._lose(worker, message["how"])
        elif say == "done":
            self._done.add(worker)

    def _drop(self, worker: int, link: Link) -> None:
        with self._lock:
            del self._links[worker]
            lost = self._begun and worker not in self._done and not self._closed.is_set()
        if lost:
            self._lose(worker, f" is lost: {link.end}")

    def _lose(self, worker: int, how: str) -> None:
        super()._lose(worker, how)
        self._tell({"say": "failed", "worker": worker, "how": how}, but=worker)
