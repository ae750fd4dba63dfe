"""The Dockerfile is built, and its image runs a flow, where the tools for that are.

Its base image is a Debian with the Python of that Debian: no registry of images is asked.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.demo.orders import order
from tests.deploy.engine import Engine, engine, root_file_system
from tests.deploy.files import ROOT
from tests.servers.process import server_port
from tests.servers.sqs import SqsServer

IMAGE = "localhost/trigger-flows"
DOCKER_GRACE = 10
"""Seconds from SIGTERM to SIGKILL, if nobody asks for others."""
HALF = 300
"""How many orders are sent before the container is stopped, and again while it is gone."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(tmp_path_factory.mktemp("containers")) as tools:
        tools.build(IMAGE, root_file_system(), "--build-arg=EXTRAS=[sqs]")
        yield tools


class Orders:
    """Orders that are sent to a queue, and what is to become of them."""

    def __init__(self, sqs: SqsServer) -> None:
        self._sqs = sqs
        self.queue = sqs.create_queue(VisibilityTimeout="10")
        self._chance = random.Random(6)
        self._sent: list[bytes] = []

    def send(self, count: int) -> None:
        """Send the next ones."""
        numbers = range(len(self._sent), len(self._sent) + count)
        for first in numbers[::10]:
            batch = [order(number, self._chance) for number in range(first, first + 10)]
            entries: Any = [{"Id": str(n), "MessageBody": body.decode()} for n, body in enumerate(batch)]
            assert not self._sqs.client.send_message_batch(QueueUrl=self.queue, Entries=entries).get("Failed")
            self._sent += batch

    @property
    def paid(self) -> list[str]:
        """The External IDs of those that the example delivers."""
        good = [json.loads(body) for body in self._sent if b"items" in body]
        return [each["order_id"] for each in good if each["status"] == "paid" and each["total"] > 100]

    @property
    def broken(self) -> int:
        """How many are to be dead letters."""
        return len([body for body in self._sent if b"items" not in body])

    @property
    def left(self) -> int:
        """How many are in the queue, under way or not."""
        return sum(self._sqs.depth(self.queue))


PACKAGES = """
import json
from importlib.metadata import distributions
print(json.dumps({each.name: each.version for each in distributions()}))
"""
NOT_THERE = """
for program in cc gcc g++ make; do ! command -v $program || exit 1; done
for path in ~root/.cache/pip /etc/pip.conf /source; do ! test -e $path || exit 1; done
"""
HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
)
"""As compose.yaml has it, and the manifests of Kubernetes."""
TICKS = {
    "name": "ticks",
    "trigger": {"connector": "schedule", "interval": "100ms"},
    "sink": {"connector": "files", "path": "ticks.jsonl"},
}


def test_the_image_has_what_it_needs_and_no_more(tools: Engine) -> None:
    def inside(*command: str) -> str:
        return tools.podman("run", "--rm", "--network=none", f"--entrypoint={command[0]}", IMAGE, *command[1:])

    packages = json.loads(inside("python", "-c", PACKAGES))
    assert {"trigger-flows", "boto3", "bytewax"} <= packages.keys()
    assert not {"pip", "pika", "pytest"} & packages.keys()
    inside("sh", "-c", NOT_THERE)
    assert packages["trigger-flows"] in inside("python", "-m", "pipelines", "--version")


def test_it_runs_as_it_is(tools: Engine, tmp_path: Path) -> None:
    """With no options but the spec: there is a health check, the state is in the volume, and SIGTERM ends it well."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(TICKS))
    spec.chmod(0o444)
    tools.podman("volume", "create", "ticks")
    mounts = ["--volume=ticks:/state", f"--volume={spec}:/flow/spec.json:ro"]

    with tools.running("ticks", "--network=none", *HARDENED, *mounts, IMAGE) as container:
        container.eventually(container.is_healthy, "it is healthy")
        container.eventually(lambda: len(_lines(tools.volume("ticks") / "ticks.jsonl")) > 3, "ticks are delivered")
        assert container.execute("id", "-u") == "10001"
        assert container.execute("cat", "/proc/1/comm") == "python"
        assert "Read-only file system" in container.execute("sh", "-c", "touch /opt/any 2>&1 || true")
        assert container.stop(DOCKER_GRACE) == 0, container.log

    assert (tools.volume("ticks") / "cursors").is_dir()


def test_a_flow_drains_and_goes_on(tools: Engine, sqs: SqsServer) -> None:
    """Stopped with orders in the queue, and started again: each is delivered once."""
    orders = Orders(sqs)
    tools.podman("volume", "create", "orders")
    delivered = tools.volume("orders") / "paid-orders.jsonl"
    container_options = [
        *("--network=host", *HARDENED, "--volume=orders:/state"),
        f"--volume={ROOT / 'examples' / 'orders.json'}:/flow/spec.json:ro",
        *(f"--env=SQS_ENDPOINT={sqs.endpoint}", f"--env=ORDERS_QUEUE_URL={orders.queue}"),
        IMAGE,
    ]
    run = [*container_options, "run", "/flow/spec.json", "--state-dir=/state", f"--http=127.0.0.1:{server_port()}"]

    orders.send(HALF)
    with tools.running("orders", *run) as container:
        container.eventually(lambda: len(_lines(delivered)) > 20, "orders are delivered")
        assert container.stop(DOCKER_GRACE) == 0, container.log
    orders.send(HALF)
    with tools.running("orders", *run) as container:
        container.eventually(lambda: orders.left == 0, "the queue is empty")
        assert container.stop(DOCKER_GRACE) == 0, container.log

    assert sorted(line["id"] for line in _lines(delivered)) == sorted(orders.paid)
    export = ["dead-letters", "export", "/flow/spec.json", "--state-dir=/state"]
    letters = tools.podman("run", "--rm", *container_options, *export).splitlines()
    assert len(letters) == orders.broken


def _lines(file: Path) -> list[dict[str, Any]]:
    """The objects that a sink has written so far."""
    complete = file.read_bytes().rpartition(b"\n")[0] if file.exists() else b""
    return [json.loads(line) for line in complete.splitlines()]
