"""The embedded server: there when it is needed, for this machine only, and gone afterwards."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flowspec.errors import MissingDependencyError
from pipelines.demo.server import EmbeddedSqs, free_port, wait_for_port
from tests.pipelines.flows import eventually
from tests.servers.sqs import SqsServer

PARENT = """
import sys, time
from pathlib import Path
from pipelines.demo.server import EmbeddedSqs
with EmbeddedSqs(Path(sys.argv[1])) as server:
    print(server.endpoint, flush=True)
    time.sleep(600)
"""


def listens(endpoint: str, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections at an endpoint's port."""
    with socket.socket() as probe:
        return probe.connect_ex((host, urlsplit(endpoint).port)) == 0


def test_it_is_a_queue_server_on_the_loopback_interface_until_the_block_ends(tmp_path: Path) -> None:
    with EmbeddedSqs(tmp_path) as server:
        sqs = SqsServer(server.endpoint)
        url = sqs.create_queue()
        sqs.client.send_message(QueueUrl=url, MessageBody="1")
        assert sqs.depth(url) == (1, 0)
        assert url.startswith(server.endpoint), "a queue's URL leads back to the server"
        assert not listens(server.endpoint, "127.0.0.2"), "it listens on more than one address"
        sqs.client.close()

    assert not listens(server.endpoint)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "kill"])
def test_it_ends_with_its_parent_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        endpoint = parent.stdout.readline().decode().strip()
        assert listens(endpoint)

        parent.send_signal(how)

    eventually(lambda: not listens(endpoint), "the server ends")


def test_without_its_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ministack", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'trigger-flows\[demo\]'"):
        EmbeddedSqs(tmp_path)


def test_a_server_that_ended_is_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match="see the log"):
        wait_for_port(free_port(), lambda: False, "see the log")
