"""`pipelines run --restart`: what fails is started again, and what is said of it."""

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

WORKERS = pytest.mark.parametrize("workers", [1, 2])


def spec(sqs: SqsServer, url: str, out: Path, **changes: Any) -> dict[str, Any]:
    trigger = {"connector": "amazon-sqs", "account": sqs.account, "queue_url": url, "wait_time": 1, "external_id": "id"}
    return {"name": "orders", "trigger": trigger, "sink": {"connector": "files", "path": str(out)}, **changes}


def send(sqs: SqsServer, url: str, numbers: range) -> None:
    for number in numbers:
        sqs.client.send_message(QueueUrl=url, MessageBody=json.dumps({"id": number}))


def wait_for(output: Output, numbers: range) -> None:
    eventually(lambda: {line["id"] for line in output.lines()} >= set(numbers), "all are delivered")


def said(flow: RunningFlow) -> str:
    return flow.log.read_text()


def statuses(flow: RunningFlow) -> list[dict[str, Any]]:
    """What `--status json` has printed."""
    return [json.loads(line) for line in said(flow).splitlines() if line.startswith("{") and line.endswith("}")]


@WORKERS
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(sqs: SqsServer, tmp_path: Path, workers: int) -> None:
    url = sqs.create_queue(VisibilityTimeout="2")
    output = Output(tmp_path / "out.jsonl")
    options = ("--workers", str(workers), "--restart", "on-failure:5", "--status", "json")
    flow = RunningFlow(tmp_path, spec(sqs, url, output.path), *options)
    flow.start()
    send(sqs, url, range(20))
    wait_for(output, range(20))

    before = flow.workers()
    assert len(before) == workers
    os.kill(before[-1], signal.SIGKILL)
    eventually(lambda: "restart 1 of 5 in " in said(flow), "the restart is said")
    send(sqs, url, range(20, 40))
    wait_for(output, range(40))

    assert f"worker {workers - 1} was killed by signal 9 (SIGKILL)" in said(flow)
    assert not any(Path(f"/proc/{pid}").exists() for pid in before), "the whole cluster is another one"
    assert flow.terminate() == 0, said(flow)
    last = statuses(flow)[-1]
    assert (last["state"], last["restarts"], last["error"]) == ("stopped", 1, None)
    assert "was killed by signal 9" in last["last_failure"]["reason"]
    assert last["received"] >= 40, "what was counted before is counted"


@WORKERS
def test_what_fails_again_and_again_is_given_up_with_its_first_error(
    sqs: SqsServer, tmp_path: Path, workers: int
) -> None:
    file = "spec.json"
    (tmp_path / file).write_text(json.dumps(spec(sqs, sqs.create_queue() + "-missing", tmp_path / "out.jsonl")))
    answer = pipelines(tmp_path, "run", file, "--workers", str(workers), "--restart", "on-failure:1")

    assert answer.returncode == 1
    restart, error, last = answer.stderr.splitlines()
    assert "restart 1 of 1 in " in restart
    assert "the queue does not exist" in restart
    assert error.startswith("error: worker ")
    assert "the queue does not exist" in error
    assert "(given up after 1 restart" in error
    assert last.startswith("orders: received 0")
    assert last.endswith("(restarts 1)")


def test_what_was_not_delivered_is_tried_again_until_it_is(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    (tmp_path / "late.py").write_text(
        "import pathlib\n\n"
        "def step(body):\n    assert pathlib.Path('needed').exists(), 'not there yet'\n    return body\n"
    )
    flow = RunningFlow(
        tmp_path,
        {
            "name": "orders",
            "trigger": {"connector": "files", "path": str(tmp_path / "*.jsonl")},
            "steps": [{"python": "late:step", "on_error": "stop"}],
            "sink": {"connector": "files", "path": str(tmp_path / "out.txt")},
        },
        *("--restart", "on-failure"),
    )
    output = Output(tmp_path / "out.txt")
    flow.start()
    eventually(lambda: "restart 2 in " in said(flow), "it is tried again and again")
    assert "not there yet" in said(flow)
    (tmp_path / "needed").touch()
    wait_for(output, range(1, 3))
    assert flow.terminate() == 0
    assert [line["id"] for line in output.lines()] == [1, 2]


def test_a_stop_before_a_restart_ends_at_once_with_the_first_error(sqs: SqsServer, tmp_path: Path) -> None:
    file = spec(sqs, sqs.create_queue() + "-missing", tmp_path / "out.jsonl")
    flow = RunningFlow(tmp_path, file, "--workers", "2", "--restart", "on-failure")
    flow.start()
    # It is 2 s away at the least, and whatever comes sooner is said as well.
    eventually(lambda: "restart 3 in " in said(flow), "it has failed", lambda: said(flow))
    assert flow.workers() == []

    assert flow.terminate() == 1
    error = next(line for line in said(flow).splitlines() if line.startswith("error: "))
    assert "the queue does not exist" in error
    assert "(stopped before restart " in error


def test_a_wrong_spec_is_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"name": "orders"}')
    answer = pipelines(tmp_path, "run", "spec.json", "--restart", "on-failure", "--workers", "2")
    assert answer.returncode == 2
    assert "restart" not in answer.stderr


def test_no_worker_outlives_its_supervisor(sqs: SqsServer, tmp_path: Path) -> None:
    url = sqs.create_queue()
    output = Output(tmp_path / "out.jsonl")
    flow = RunningFlow(tmp_path, spec(sqs, url, output.path), "--restart", "on-failure")
    flow.start()
    send(sqs, url, range(1))
    wait_for(output, range(1))
    workers = flow.workers()

    # `kill` waits until they are gone.
    flow.kill()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
