"""Ports of a cluster that others have, or call."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from pipelines import cluster
from pipelines.options import RunOptions

Disturb = Callable[[int], AbstractContextManager[object]]


@contextmanager
def _calling(port: int) -> Iterator[None]:
    """Call there as soon as somebody listens, as a worker of a cluster that was killed may do."""

    def call() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with closing(socket.socket()) as caller:
                if caller.connect_ex(("127.0.0.1", port)) == 0:
                    with suppress(OSError):
                        caller.sendall(b"\0" * 64)
                        caller.recv(1)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=call)
    thread.start()
    yield
    thread.join()


def _taking(port: int) -> socket.socket:
    """Have the port."""
    return socket.create_server(("127.0.0.1", port))


@pytest.mark.parametrize("disturb", [_taking, _calling])
def test_a_cluster_whose_port_is_anothers_starts_on_other_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturb: Disturb
) -> None:
    given: list[tuple[str, ...]] = []
    disturbance = ExitStack()
    find = cluster._free_addresses

    def disturbed(count: int) -> tuple[str, ...]:
        given.append(find(count))
        disturbance.close()
        if len(given) == 1:
            disturbance.enter_context(disturb(int(given[0][0].rpartition(":")[2])))
        return given[-1]

    monkeypatch.setattr(cluster, "_free_addresses", disturbed)
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    trigger = {"connector": "files", "event": "new-files", "path": str(tmp_path / "*.txt"), "format": "text"}
    output = tmp_path / "out.jsonl"
    spec = {"name": "orders", "trigger": trigger, "sink": {"connector": "files", "path": str(output)}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    options = RunOptions(tmp_path / "spec.json", 2, tmp_path / "state", None, 1.0, None, 8.0, "off", "text", False)

    assert cluster.run_cluster(options) == 0
    assert len(given) == 2, "it was started twice"
    assert output.read_text() == '"one"\n"two"\n'
