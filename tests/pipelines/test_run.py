"""`pipelines run` against a server: how it ends, and what it says."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.commands import pipelines
from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.sqs import SqsServer

KEYS = {
    *("flow", "time", "state", "workers", "received", "delivered", "filtered", "failed", "in_flight", "rate"),
    *("dead_letters", "retried", "absorbed"),
    *("latency_p50", "latency_p99", "trigger", "sinks", "error", "restarts", "last_failure"),
}


def spec(sqs: SqsServer, url: str, **changes: Any) -> dict[str, Any]:
    trigger = {"connector": "amazon-sqs", "account": sqs.account, "queue_url": url, "wait_time": 1, "external_id": "id"}
    return {"name": "orders", "trigger": trigger, "sink": {"connector": "stdout"}, **changes}


def write(directory: Path, spec: dict[str, Any]) -> str:
    (directory / "spec.json").write_text(json.dumps(spec))
    return "spec.json"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stdout_belongs_to_the_flow_and_status_is_json(sqs: SqsServer, tmp_path: Path, workers: str) -> None:
    url = sqs.create_queue()
    for number in range(30):
        sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps({"id": number}))
    file = write(tmp_path, spec(sqs, url, steps=[{"filter": "id >= 10"}]))

    answer = pipelines(tmp_path, "run", file, "--workers", workers, "--until-idle", "2", "--status", "json")

    assert answer.returncode == 0, answer.stderr
    assert sorted(json.loads(line)["id"] for line in answer.stdout.splitlines()) == list(range(10, 30))
    shown = [json.loads(line) for line in answer.stderr.splitlines()]
    assert all(set(each) == KEYS for each in shown)
    last = shown[-1]
    assert (last["state"], last["error"], last["workers"]) == ("stopped", None, int(workers))
    assert (last["received"], last["delivered"], last["filtered"], last["failed"]) == (30, 20, 10, 0)
    assert last["in_flight"] == 0
    assert 0 < last["latency_p50"] <= last["latency_p99"]
    assert last["trigger"]["state"] == last["sinks"]["stdout-print"]["state"] == "up"
    if workers == "1":
        assert list((tmp_path / ".pipelines" / "logs").iterdir()) == [], "a log without noise is not kept"


def test_a_limit_takes_no_more(sqs: SqsServer, tmp_path: Path) -> None:
    url = sqs.create_queue(VisibilityTimeout="600")
    for number in range(10):
        sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps({"id": number}))

    answer = pipelines(tmp_path, "run", write(tmp_path, spec(sqs, url)), "--limit", "4")

    assert answer.returncode == 0
    assert len(answer.stdout.splitlines()) == 4
    assert answer.stderr.startswith("orders: received 4, delivered 4, filtered 0, failed 0 in ")
    assert sqs.depth(url) == (6, 0)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_an_error_is_said_once_in_one_line(sqs: SqsServer, tmp_path: Path, workers: str) -> None:
    url = sqs.create_queue()
    file = write(tmp_path, spec(sqs, url + "-missing"))

    answer = pipelines(tmp_path, "run", file, "--workers", workers)

    assert answer.returncode == 1
    error, last = answer.stderr.splitlines()
    assert error.startswith("error: trigger: " if workers == "1" else "error: worker ")
    assert "the queue does not exist" in error
    assert last.startswith("orders: received 0")
    assert answer.stdout == ""


def test_verbose_shows_where_an_error_came_from(sqs: SqsServer, tmp_path: Path) -> None:
    answer = pipelines(tmp_path, "run", write(tmp_path, spec(sqs, sqs.create_queue() + "-missing")), "-v")
    assert answer.returncode == 1
    assert "Traceback" in answer.stderr


def test_a_step_that_stops_the_flow_names_step_and_record(sqs: SqsServer, tmp_path: Path) -> None:
    url = sqs.create_queue()
    sqs.client.send_message(QueueUrl=url, MessageBody='{"id": "A-7"}')
    file = write(tmp_path, spec(sqs, url, steps=[{"filter": "total > 1", "on_error": "stop", "id": "dear"}]))

    answer = pipelines(tmp_path, "run", file, "--log-format", "json", "--status", "json")

    assert answer.returncode == 1
    lines = [json.loads(line) for line in answer.stderr.splitlines()]
    said = lines[-2]["message"]
    assert said == lines[-1]["error"]
    for part in ("dear: ", "total", "A-7"):
        assert part in said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_second_signal_ends_at_once(sqs: SqsServer, tmp_path: Path, workers: str) -> None:
    url = sqs.create_queue(VisibilityTimeout="600")
    down = tmp_path / "down"
    down.touch()
    sqs.client.send_message(QueueUrl=url, MessageBody='{"id": 1}')
    sink = {"connector": "testbed", "action": "flaky", "path": str(tmp_path / "out.jsonl"), "down_file": str(down)}
    flow = RunningFlow(tmp_path, spec(sqs, url, sink=sink), "--drain-timeout", "1h", "--workers", workers)
    flow.start()
    eventually(lambda: "is down" in flow.log.read_text(), "the sink is tried")

    flow.process.send_signal(signal.SIGINT)
    eventually(lambda: flow.log.read_text().count("stopping: draining") == 1, "the stop is said")
    flow.process.send_signal(signal.SIGTERM)

    assert flow.wait() == 1
    assert "error: stopped at once" in flow.log.read_text()
    assert "Traceback" not in flow.log.read_text()


def test_a_killed_worker_ends_the_run(sqs: SqsServer, tmp_path: Path) -> None:
    url = sqs.create_queue()
    output = Output(tmp_path / "out.jsonl")
    sink = {"connector": "files", "path": str(output.path)}
    flow = RunningFlow(tmp_path, spec(sqs, url, sink=sink), "--workers", "3")
    flow.start()
    sqs.client.send_message(QueueUrl=url, MessageBody='{"id": 1}')
    eventually(lambda: len(output.lines()) == 1, "the flow runs")

    workers = flow.workers()
    os.kill(workers[1], signal.SIGKILL)

    assert flow.wait() == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert "worker 1" in flow.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_drain_that_hangs_is_given_up(sqs: SqsServer, tmp_path: Path, workers: str) -> None:
    url = sqs.create_queue(VisibilityTimeout="600")
    output = Output(tmp_path / "out.jsonl")
    (tmp_path / "hangs.py").write_text(
        "import pathlib, threading\n\n"
        "def step(body):\n    pathlib.Path(body['here']).touch()\n    threading.Event().wait()\n"
    )
    here = tmp_path / "here"
    sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps({"id": 1, "here": str(here)}))
    sink = {"connector": "files", "path": str(output.path)}
    options = ("--drain-timeout", "0.5", "--workers", workers)
    flow = RunningFlow(tmp_path, spec(sqs, url, steps=[{"python": "hangs:step"}], sink=sink), *options)
    flow.start()
    eventually(here.exists, "the step hangs")

    assert flow.terminate() == 1
    log = flow.log.read_text()
    assert "not drained within 0.5 s; 1 records were not delivered and will come again" in log
    assert sum(sqs.depth(url)) == 1
