"""A sender of webhooks as they should be: what is not answered with 202 is sent again."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

from tests.servers.process import listens

__all__ = ["Sender"]

_LANES = 40
_AGAIN_AFTER = 0.05
_TIMEOUT = 120.0


@dataclass
class _Job:
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Sender:
    """Sends from many threads, each with a connection of its own; those with a key from one, in order."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        """Where it connects to; may be changed."""
        self.answers: Counter[int] = Counter()
        """How often there was which status."""
        self._path = path
        self._shared: SimpleQueue[_Job | None] = SimpleQueue()
        self._ordered: SimpleQueue[_Job | None] = SimpleQueue()
        self._state = threading.Condition()
        self._unanswered = 0
        self._under_way = 0
        self._paused = False
        self._ending = threading.Event()
        queues = [self._ordered, *[self._shared] * _LANES]
        self._lanes = [threading.Thread(target=self._work, args=(queue,), daemon=True) for queue in queues]
        for lane in self._lanes:
            lane.start()

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Have payloads sent until each is answered with 202; does not wait for it."""
        with self._state:
            self._unanswered += len(payloads)
        for payload in payloads:
            (self._shared if key is None else self._ordered).put(_Job(payload, headers or {}))

    def unanswered(self) -> int:
        """How many were not answered with 202 so far."""
        if not listens(self.port):
            # Nobody answers any more, and those that wait for an answer find out soon.
            with self.paused() as unanswered:
                return unanswered
        return self._unanswered

    @contextmanager
    def paused(self) -> Iterator[int]:
        """Nothing is under way; says how many were not answered with 202 so far."""
        with self._state:
            self._paused = True
            assert self._state.wait_for(lambda: not self._under_way, _TIMEOUT), "a request is not answered"
            try:
                yield self._unanswered
            finally:
                self._paused = False
                self._state.notify_all()

    def close(self) -> None:
        """Give up."""
        self._ending.set()
        with self._state:
            self._state.notify_all()
        for queue in (self._ordered, *[self._shared] * _LANES):
            queue.put(None)
        for lane in self._lanes:
            lane.join(_TIMEOUT)

    def _work(self, queue: SimpleQueue[_Job | None]) -> None:
        connection: http.client.HTTPConnection | None = None
        while (job := queue.get()) is not None and not self._ending.is_set():
            while not self._ending.is_set():
                if connection is None or connection.port != self.port:
                    if connection is not None:
                        connection.close()
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT)
                if self._attempt(connection, job):
                    break
                self._ending.wait(_AGAIN_AFTER)
        if connection is not None:
            connection.close()

    def _attempt(self, connection: http.client.HTTPConnection, job: _Job) -> bool:
        with self._state:
            self._state.wait_for(lambda: not self._paused or self._ending.is_set())
            self._under_way += 1
        status = 0
        try:
            headers = {name: value.encode() for name, value in job.headers.items()}
            connection.request("POST", self._path, job.payload, headers)
            with connection.getresponse() as answer:
                answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
        with self._state:
            self._under_way -= 1
            self.answers[status] += 1
            self._unanswered -= status == 202
            self._state.notify_all()
        return status == 202
