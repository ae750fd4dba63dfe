"""kill -9 while 500 requests a second come: what was answered with 202 is in the sink, and nothing that was forged."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import Self

from sources.testing.flows import Flow
from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.secrets import secret
from tests.servers.process import server_port

_SECRET = secret("Webhook")
_RATE = 500
_CLIENTS = 60
_KILLS = 3
_BETWEEN = 1_000
"""Requests that are answered with 202 between two kills."""


class Load:
    """So many requests a second, each sent once, every tenth of them with a wrong signature."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(first,)) for first in range(_CLIENTS)]
        self.accepted: list[int] = []
        """The numbers that were answered with 202."""
        self.forged: Counter[int] = Counter()
        """The answers to those with a wrong signature."""
        self.answers: Counter[int] = Counter()
        """The answers to the others; 0 is none."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        due = time.monotonic()
        while not self._ending.is_set():
            forged = number // _CLIENTS % 10 == 0
            status = self._post(connection, number, b"wrong" if forged else _SECRET.encode())
            (self.forged if forged else self.answers)[status] += 1
            if status == 202:
                self.accepted.append(number)
            number += _CLIENTS
            due += _CLIENTS / _RATE
            self._ending.wait(max(0.0, due - time.monotonic()))
        connection.close()

    @staticmethod
    def _post(connection: http.client.HTTPConnection, number: int, secret: bytes) -> int:
        body = json.dumps({"id": number}).encode()
        signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        try:
            connection.request("POST", "/hook", body, {"X-Hub-Signature-256": signature})
            with connection.getresponse() as answer:
                answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0
        return answer.status


def flow(directory: Path, port: int, respond: str) -> RunningFlow:
    spec: dict[str, Any] = {
        "name": "hooks",
        "trigger": {
            "connector": "http",
            "event": "webhook",
            "account": {"signing_secret": _SECRET},
            "port": port,
            "path": "/hook",
            "signature": "github",
            "respond": respond,
        },
        # Slow, so that there always are records in the flow.
        "sink": {
            "connector": "testbed",
            "action": "flaky",
            "path": str(directory / "out.jsonl"),
            "sleep": "50ms",
        },
    }
    return RunningFlow(directory, spec)


@pytest.fixture(autouse=True)
def _flows_end_with_their_test() -> Iterator[None]:
    yield
    Flow.kill_all()


@pytest.mark.parametrize("respond", ["delivered", "accepted"])
def test_every_202_is_in_the_sink(tmp_path: Path, respond: str) -> None:
    port = server_port()
    running = flow(tmp_path, port, respond)
    output = Output(tmp_path / "out.jsonl")

    def delivered() -> set[int]:
        return {line["id"] for line in output.lines()}

    with Load(port) as load:
        for kill in range(1, _KILLS + 1):
            running.start()
            eventually(lambda enough=kill * _BETWEEN: len(load.accepted) >= enough, "requests are accepted")  # type: ignore[misc]
            accepted = list(load.accepted)
            running.kill()
            if respond == "delivered":
                assert set(accepted) <= delivered(), "answered before it was delivered"
        running.start()
        eventually(lambda: len(load.accepted) >= (_KILLS + 1) * _BETWEEN, "requests are accepted")
    eventually(lambda: set(load.accepted) <= delivered(), "all that was accepted is delivered")
    assert running.terminate() == 0, running.log.read_text()

    print(f"{respond}: {load.answers}, forged {load.forged}, {len(output.lines())} delivered")
    assert all(number // _CLIENTS % 10 for number in delivered()), "a wrong signature was let in"
    assert load.forged[403] > 0
    assert set(load.forged) <= {0, 403}
    assert set(load.answers) <= {0, 202}
