from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flowspec.delivery.memory import Event, Journal

PROCESSES = 2


def free_addresses(count: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def run_cluster(hops: int, directory: Path) -> list[Journal]:
    """Run two processes to their end; answers the journal of each."""
    addresses = ";".join(free_addresses(PROCESSES))
    command = [sys.executable, "-m", "tests.flowspec.delivery.cluster_process", addresses]
    with ExitStack() as stack:
        processes = []
        for number in range(PROCESSES):
            process = stack.enter_context(
                subprocess.Popen(
                    [*command, str(number), str(hops), str(directory)],
                    cwd=Path(__file__).parents[3],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            stack.callback(process.kill)
            processes.append(process)
        journals = []
        for number, process in enumerate(processes):
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0, output
            events = json.loads((directory / f"journal-{number}.json").read_text())
            journals.append(Journal([Event(*event) for event in events]))
        return journals


@pytest.mark.parametrize("hops", [0, 30])
def test_no_worker_of_a_cluster_commits_early(hops: int, tmp_path: Path) -> None:
    for journal in run_cluster(hops, tmp_path):
        assert journal.early_commits("one", "two") == []
        assert journal.committed() == 300
        assert journal.written("one") == journal.written("two") == list(range(300))
        assert len(journal.details("trigger", "commit")) > 10
