"""Ports of a cluster that others have, or call."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from pipelines import cluster
from pipelines.options import RunOptions

Disturb = Callable[[int], AbstractContextManager[threading.Event]]


@contextmanager
def _calling(port: int) -> Iterator[threading.Event]:
    """Call there as soon as somebody listens, as a worker of a cluster that was killed may do.

    Workers listen until they have found each other, which may be too short a time: what is answered tells.
    """
    reached, over = threading.Event(), threading.Event()

    def call() -> None:
        while not over.wait(0.002):
            with closing(socket.socket()) as caller:
                if caller.connect_ex(("127.0.0.1", port)) == 0:
                    reached.set()
                    with suppress(OSError):
                        caller.sendall(b"\0" * 64)
                        caller.recv(1)
                    return

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield reached
    finally:
        over.set()
        thread.join()


@contextmanager
def _taking(port: int) -> Iterator[threading.Event]:
    """Have the port."""
    reached = threading.Event()
    reached.set()
    with socket.create_server(("127.0.0.1", port)):
        yield reached


@pytest.mark.parametrize("disturb", [_taking, _calling])
def test_a_cluster_whose_port_is_anothers_starts_on_other_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturb: Disturb
) -> None:
    given: list[tuple[str, ...]] = []
    reached: list[threading.Event] = []
    disturbance = ExitStack()
    find = cluster._free_addresses

    def disturbed(count: int) -> tuple[str, ...]:
        given.append(find(count))
        disturbance.close()
        if len(given) == 1:
            reached.append(disturbance.enter_context(disturb(int(given[0][0].rpartition(":")[2]))))
        return given[-1]

    monkeypatch.setattr(cluster, "_free_addresses", disturbed)
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    trigger = {"connector": "files", "event": "new-files", "path": str(tmp_path / "*.txt"), "format": "text"}
    output = tmp_path / "out.jsonl"
    spec = {"name": "orders", "trigger": trigger, "sink": {"connector": "files", "path": str(output)}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    options = RunOptions(tmp_path / "spec.json", 2, tmp_path / "state", None, 1.0, None, 8.0, "off", "text", False)

    with disturbance:
        assert cluster.run_cluster(options) == 0
    assert len(given) == 1 + reached[0].is_set(), "where it was disturbed, it was started twice"
    assert output.read_text() == '"one"\n"two"\n'
