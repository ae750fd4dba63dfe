"""`pipelines run --http`: what is served while a real flow runs."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.pipelines.commands import pipelines
from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.pipelines.monitor.scrapes import Scrape

WORKERS = pytest.mark.parametrize("workers", [1, 3])


class MonitoredFlow(RunningFlow):
    """Files of lines come in, even numbers go on to a sink that is down while a file exists."""

    def __init__(self, directory: Path, workers: int, *options: str) -> None:
        self.down, self.output = directory / "down", Output(directory / "out.jsonl")
        self._inbox = directory / "inbox"
        self._inbox.mkdir()
        trigger = {"connector": "files", "path": f"{self._inbox}/*.jsonl", "interval": "50ms"}
        sink = {"connector": "testbed", "path": str(self.output.path), "down_file": str(self.down), "id": "billing"}
        steps = [{"filter": "id % 2 == 0", "id": "even"}]
        super().__init__(
            directory,
            {"name": "orders", "trigger": trigger, "steps": steps, "sink": sink},
            *("--workers", str(workers), "--http", "0", *options),
        )

    def send(self, name: str, count: int) -> None:
        """A file of numbers."""
        new = self._inbox / f"{name}.new"
        new.write_text("".join(f'{{"id": {number}}}\n' for number in range(count)))
        new.rename(new.with_suffix(".jsonl"))

    def started(self) -> None:
        """Start it, and wait until it serves."""
        self.start()
        eventually(lambda: "are served on" in self.log.read_text(), "it is said where metrics are served")

    @property
    def url(self) -> str:
        """Where it serves."""
        found = re.search(r"are served on (http://127\.0\.0\.1:\d+)", self.log.read_text())
        assert found
        return found[1]

    def get(self, path: str) -> tuple[int, str]:
        """What it answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, /, **labels: str) -> float | None:
        """The value of a metric."""
        return Scrape(self.get("/metrics")[1]).value(f"pipelines_{name}", flow="orders", **labels)


@contextmanager
def dripping(url: str) -> Iterator[None]:
    """A caller whose request comes a byte at a time and never ends."""
    address, ended = urlsplit(url), threading.Event()
    with socket.create_connection((address.hostname, address.port), timeout=60) as caller:

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.1):
                    caller.sendall(b"x")

        caller.sendall(b"GET /")
        thread = threading.Thread(target=drip)
        thread.start()
        yield
        ended.set()
        thread.join()


@WORKERS
def test_metrics_and_status_of_a_run(tmp_path: Path, workers: int) -> None:
    flow = MonitoredFlow(tmp_path, workers)
    flow.started()
    eventually(lambda: flow.get("/readyz")[0] == 200, "the trigger is up")
    assert flow.metric("sink_up", sink="billing") is None, "it had nothing to write yet"
    flow.send("first", 40)
    eventually(lambda: flow.metric("record_latency_seconds_count") == 40, "all are committed")
    flow.send("second", 60)
    eventually(lambda: flow.metric("record_latency_seconds_count") == 100, "all are committed")
    # Of several workers each reports by itself.
    eventually(lambda: flow.metric("records_delivered_total") == 50, "all is reported")
    eventually(lambda: flow.metric("records_filtered_total") == 50, "all is reported")

    assert flow.metric("records_received_total") == 100
    eventually(lambda: (flow.metric("commit_latency_seconds_count") or 0) >= 2, "each commit has its latency")
    assert flow.metric("records_failed_total") == flow.metric("dead_letters_total") == 0
    assert flow.metric("records_in_flight") == 0
    assert flow.metric("step_records_total", step="even", outcome="filtered") == 50
    assert flow.metric("step_records_total", step="even", outcome="passed") == 50
    assert flow.metric("sink_records_total", sink="billing", outcome="delivered") == 50
    assert flow.metric("trigger_up") == flow.metric("sink_up", sink="billing") == 1
    assert flow.metric("run_state", state="running") == 1
    assert flow.metric("workers") == workers
    last = flow.metric("last_record_timestamp_seconds")
    assert last is not None
    assert (tmp_path / "spec.json").stat().st_mtime <= last, "it is a time since the epoch"

    status = json.loads(flow.get("/status")[1])
    assert (status["state"], status["workers"], status["received"], status["delivered"]) == (
        "running",
        workers,
        100,
        50,
    )
    assert status["places"]["billing"]["passed"] == 50
    assert flow.get("/healthz") == (200, "alive\n")
    assert flow.get("/")[0] == 404
    assert flow.terminate() == 0


@WORKERS
def test_a_sink_that_goes_down_and_comes_back(tmp_path: Path, workers: int) -> None:
    flow = MonitoredFlow(tmp_path, workers)
    flow.started()
    eventually(lambda: flow.get("/readyz") == (200, "ready\n"), "the trigger is up")
    flow.down.touch()
    flow.send("first", 10)
    eventually(lambda: flow.get("/readyz") == (503, f"billing is down: {flow.down} exists\n"), "it is not ready")
    assert flow.get("/healthz") == (200, "alive\n"), "a restart would not help"
    assert flow.metric("sink_up", sink="billing") == 0
    assert flow.metric("trigger_up") == 1
    eventually(lambda: (flow.metric("sink_retries_total", sink="billing") or 0) >= 2, "it is tried again")
    assert flow.metric("records_in_flight") == 10

    flow.down.unlink()
    eventually(lambda: flow.get("/readyz") == (200, "ready\n"), "it is ready again")
    eventually(lambda: flow.metric("records_in_flight") == 0, "all are delivered")
    assert flow.metric("sink_up", sink="billing") == 1
    assert flow.terminate() == 0
    assert [line["id"] for line in flow.output.lines()] == [0, 2, 4, 6, 8]


@WORKERS
def test_a_run_that_stops_is_not_ready(tmp_path: Path, workers: int) -> None:
    flow = MonitoredFlow(tmp_path, workers, "--drain-timeout", "1h")
    flow.down.touch()
    flow.send("first", 10)
    flow.started()
    eventually(lambda: "is down" in flow.get("/readyz")[1], "the sink is tried")
    flow.process.send_signal(signal.SIGTERM)
    eventually(lambda: flow.get("/readyz") == (503, "the run is stopping\n"), "it is not ready")
    assert flow.get("/healthz")[0] == 200
    assert flow.metric("run_state", state="stopping") == 1
    flow.down.unlink()
    assert flow.wait() == 0


@WORKERS
def test_a_caller_that_hangs_holds_up_nothing(tmp_path: Path, workers: int) -> None:
    flow = MonitoredFlow(tmp_path, workers)
    flow.started()
    with dripping(flow.url):
        flow.send("first", 10)
        eventually(lambda: flow.metric("records_delivered_total") == 5, "the flow goes on, and others are answered")
        flow.process.send_signal(signal.SIGINT)
        assert flow.wait() == 0
    assert "Traceback" not in flow.log.read_text()


@WORKERS
def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path, workers: int) -> None:
    flow = MonitoredFlow(tmp_path, workers)
    flow.send("first", 10)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flow.start("--http", str(port))
        assert flow.wait() == 2
    assert flow.log.read_text() == (
        f"error: --http: port {port} of 127.0.0.1 is in use: another program or run listens there; give another one\n"
    )
    assert flow.output.lines() == []


@pytest.mark.parametrize("address", ["http", "65536", "127.0.0.1", "::1:9100", "9100/metrics", "-1", "٣", ""])
def test_an_address_that_is_none_is_a_mistake_in_the_call(tmp_path: Path, address: str) -> None:
    answer = pipelines(tmp_path, "run", "spec.json", "--http", address)
    assert answer.returncode == 2
    assert f"{address!r} is no address; write a port, such as 9100" in " ".join(answer.stderr.split())


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_loopback_is_meant_where_no_host_is_given(address: str, meant: Any) -> None:
    from pipelines.commands.run import command

    assert command.make_context("run", ["spec.json", "--http", address]).params["http"] == meant
