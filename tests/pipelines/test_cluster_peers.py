"""A cluster whose processes are started one by one: how they meet, part, and meet again."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.peers import link
from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.process import server_port
from tests.servers.sqs import SqsServer

RESTART = ("--restart", "on-failure")


def spec(sqs: SqsServer, url: str, **changes: Any) -> dict[str, Any]:
    trigger = {"connector": "amazon-sqs", "account": sqs.account, "queue_url": url, "wait_time": 1, "external_id": "id"}
    # Where it writes depends on where a process is started.
    return {"name": "orders", "trigger": trigger, "sink": {"connector": "files", "path": "out.jsonl"}, **changes}


class Member(RunningFlow):
    """One process of a cluster, in a directory of its own."""

    def __init__(
        self, directory: Path, spec: dict[str, Any], worker: int, addresses: Sequence[str], *options: str
    ) -> None:
        directory.mkdir()
        self.worker = worker
        self.output = Output(directory / "out.jsonl")
        super().__init__(
            directory,
            spec,
            "--process-id",
            str(worker),
            "--addresses",
            ";".join(addresses),
            "--status",
            "json",
            *options,
        )

    def said(self) -> str:
        return self.log.read_text()

    def states(self) -> list[str]:
        """All that the status has said so far."""
        lines = [line for line in self.said().splitlines() if line.startswith("{") and line.endswith("}")]
        return [json.loads(line)["state"] for line in lines]

    def kill_all_of_it(self) -> None:
        """As a container or machine that is gone at once."""
        for pid in (self.process.pid, *self.workers()):
            os.kill(pid, signal.SIGKILL)
        self.wait()


class Cluster:
    def __init__(self, directory: Path, sqs: SqsServer, count: int, *options: str) -> None:
        self._sqs = sqs
        self._url = sqs.create_queue(VisibilityTimeout="2")
        self._sent = 0
        self.addresses = [f"127.0.0.1:{server_port()}" for _ in range(count)]
        self.spec = spec(sqs, self._url)
        self.members = [
            Member(directory / f"worker-{worker}", self.spec, worker, self.addresses, *options)
            for worker in range(count)
        ]

    def start(self, *order: int) -> None:
        for worker in order:
            self.members[worker].start()

    def works(self) -> None:
        """See that it delivers."""
        self._sent += 10
        for number in range(self._sent - 10, self._sent):
            self._sqs.client.send_message(QueueUrl=self._url, MessageBody=json.dumps({"id": number}))
        eventually(lambda: self.delivered() == set(range(self._sent)), "all are delivered")

    def spreads(self) -> bool:
        """Whether each process has delivered something, when there is more to deliver."""
        self.works()
        return all(member.output.lines() for member in self.members)

    def delivered(self) -> set[int]:
        return {line["id"] for member in self.members for line in member.output.lines()}

    def stop(self) -> None:
        """As `docker compose down` does: all at the same time."""
        for member in self.members:
            member.process.send_signal(signal.SIGTERM)
        assert [member.wait() for member in self.members] == [0] * len(self.members), [m.said() for m in self.members]


def test_they_may_come_in_any_order(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 3, *RESTART)
    *early, last = 2, 1, 0
    cluster.start(*early)
    for worker in early:
        member = cluster.members[worker]
        eventually(lambda: f"waiting for worker {last} at " in member.said(), "it is said who is missing")  # noqa: B023
        eventually(lambda: "waiting" in member.states(), "the status says so as well")  # noqa: B023
    cluster.start(last)
    eventually(cluster.spreads, "work is spread")
    cluster.stop()


def test_one_that_comes_goes_and_comes_again_before_it_begins(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 3)
    cluster.start(0, 1)
    first, second, _ = cluster.members
    eventually(lambda: "waiting for worker 2 at" in first.said(), "the second is there")
    second.kill_all_of_it()
    eventually(lambda: first.said().count("waiting for worker 1 at") == 2, "the second is missed again")
    cluster.start(1, 2)
    cluster.works()
    cluster.stop()


@pytest.mark.parametrize("lost", [0, 1])
def test_who_is_lost_is_waited_for_and_the_cluster_forms_again(sqs: SqsServer, tmp_path: Path, lost: int) -> None:
    count = 3 - lost
    cluster = Cluster(tmp_path, sqs, count, *RESTART)
    cluster.start(*range(count))
    cluster.works()
    others = [member for member in cluster.members if member.worker != lost]

    cluster.members[lost].kill_all_of_it()
    for member in others:
        eventually(lambda: "restart 1 in " in member.said(), "the others begin again")  # noqa: B023
        assert f"worker {lost} at {cluster.addresses[lost]} is lost: its connection has ended" in member.said()
        eventually(lambda: f"waiting for worker {lost} at " in member.said(), "it is waited for")  # noqa: B023
    cluster.start(lost)
    cluster.works()
    cluster.stop()


def test_without_restart_all_end_with_who_is_lost(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 3)
    cluster.start(0, 1, 2)
    cluster.works()
    _, second, third = cluster.members

    os.kill(second.workers()[0], signal.SIGKILL)

    assert [member.wait() for member in cluster.members] == [1, 1, 1]
    assert "error: worker 1 was killed by signal 9 (SIGKILL)" in second.said()
    for member in (cluster.members[0], third):
        assert f"error: worker 1 at {cluster.addresses[1]} was killed by signal 9 (SIGKILL)" in member.said()


def test_an_error_is_said_by_all_as_that_of_whom_it_met(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 2)
    (tmp_path / "worker-1" / "out.jsonl").mkdir()
    (tmp_path / "worker-0" / "out.jsonl").mkdir()
    cluster.start(0, 1)
    cluster._sqs.client.send_message(QueueUrl=cluster._url, MessageBody='{"id": 1}')

    assert [member.wait() for member in cluster.members] == [1, 1]
    for member in cluster.members:
        assert "files-append" in next(line for line in member.said().splitlines() if line.startswith("error: "))


def test_a_stop_of_one_drains_all_and_the_others_wait_for_it(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 3, *RESTART)
    cluster.start(0, 1, 2)
    cluster.works()
    first, second, third = cluster.members

    assert second.terminate() == 0
    for member in (first, third):
        eventually(lambda: f"worker 1 at {cluster.addresses[1]} was stopped" in member.said(), "it is said")  # noqa: B023
    eventually(lambda: first.said().count("waiting for worker 1 at") >= 1, "it is waited for")
    assert "restart" not in "".join(line for line in third.said().splitlines() if not line.startswith("{"))
    cluster.start(1)
    cluster.works()
    cluster.stop()
    delivered = [line["id"] for member in cluster.members for line in member.output.lines()]
    assert len(delivered) == len(set(delivered)), "nothing was under way, so nothing came twice"


def test_without_restart_a_stop_of_one_is_the_end_of_all(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 2)
    cluster.start(0, 1)
    cluster.works()
    first, second = cluster.members
    assert first.terminate() == 0
    assert second.wait() == 1
    assert f"error: worker 0 at {cluster.addresses[0]} was stopped, and the cluster with it" in second.said()


@pytest.mark.parametrize("worker", [0, 1])
def test_a_stop_while_it_waits_ends_it_well(sqs: SqsServer, tmp_path: Path, worker: int) -> None:
    cluster = Cluster(tmp_path, sqs, 2)
    cluster.start(worker)
    member = cluster.members[worker]
    eventually(lambda: f"waiting for worker {1 - worker} at " in member.said(), "it waits")
    assert member.terminate() == 0
    assert member.states()[-1] == "stopped"


def test_who_does_not_belong_is_sent_away(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 3)
    cluster.start(0)
    first = cluster.members[0]
    eventually(lambda: "waiting for worker 1 at" in first.said(), "it waits")
    host, port = cluster.addresses[0].split(":")
    # Whoever looks whether somebody listens, and a browser.
    socket.create_connection((host, int(port))).close()
    with socket.create_connection((host, int(port))) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert browser.recv(1) == b""

    other = Member(tmp_path / "other", {**cluster.spec, "steps": [{"filter": "id > 3"}]}, 1, cluster.addresses)
    other.start()
    eventually(lambda: "it refuses this process: its spec is another one" in other.said(), "it is told why")
    eventually(lambda: "worker 1 on 127.0.0.1 is refused: its spec is another one" in first.said(), "it is logged")
    assert other.terminate() == 0

    cluster.start(1)
    eventually(lambda: "waiting for worker 2 at" in first.said(), "the right one is taken")
    twin = Member(tmp_path / "twin", cluster.spec, 1, [cluster.addresses[0], f"127.0.0.1:{server_port()}", "a:1"])
    twin.start()
    eventually(lambda: "it refuses this process: worker 1 is there already" in twin.said(), "there is one")
    assert twin.terminate() == 0
    cluster.start(2)
    cluster.works()
    cluster.stop()


def test_an_address_that_is_not_of_this_machine_is_said(sqs: SqsServer, tmp_path: Path) -> None:
    spec_ = spec(sqs, sqs.create_queue())
    member = Member(tmp_path / "worker-1", spec_, 1, ["127.0.0.1:1", "203.0.113.1:2101"])
    member.start()
    assert member.wait() == 1
    assert "error: worker 1 at 203.0.113.1:2101 cannot listen there: " in member.said()
    assert "has to be one of this machine" in member.said()


def test_one_address_is_a_cluster_of_one(sqs: SqsServer, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, sqs, 1)
    cluster.start(0)
    cluster.works()
    cluster.stop()


def test_one_that_falls_silent_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "SILENCE", 0.05)
    here, there = socket.socketpair()
    with there:
        silent = link.Link(here)
        assert silent.receive() is None
        assert silent.end == "nothing was heard of it for 0.05 s"
        silent.free()


@pytest.mark.parametrize("said", [b"", b"{", b"[]\n", b"\xff\n", b"1" * 100_000])
def test_what_is_no_message_ends_a_link(said: bytes) -> None:
    here, there = socket.socketpair()
    broken = link.Link(here)
    with there:
        there.sendall(said)
        there.shutdown(socket.SHUT_WR)
        assert broken.receive() is None
    broken.free()
