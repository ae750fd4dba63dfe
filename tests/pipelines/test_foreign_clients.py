"""What clients of other people send, odd as it may be, arrives as it was sent."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from flowspec.deadletters.store import LetterStore
from tests.pipelines.flows import Output, RunningFlow, eventually
from tests.servers.kafka import KafkaBroker
from tests.servers.missing import missing
from tests.servers.rabbitmq import PASSWORD, RabbitNode
from tests.servers.sqs import SqsServer

BODIES = [b"", b"\x00\xff\xfe binary \xc3\x28", '{"naïve": "☃"}'.encode(), b"  spaces\r\nand lines\n", b"x" * 50_000]


def command(name: str, remedy: str, *, excused: bool = False) -> str:
    """Where a program is; without it the test is skipped or fails."""
    return shutil.which(name) or missing(name, remedy, excused=excused)


def received(directory: Path, trigger: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """What a flow makes of the first messages: their bodies, keys and headers."""
    output = Output(directory / "out.jsonl")
    spec = {
        "name": "foreign",
        "trigger": {"format": "bytes", **trigger},
        "steps": [{"map": {"body": "base64(body)", "key": "key", "headers": "headers", "meta": "meta"}}],
        "sink": {"connector": "files", "action": "append", "path": str(output.path)},
    }
    flow = RunningFlow(directory, spec)
    with flow.running():
        eventually(lambda: len(output.lines()) >= count, "all are delivered", lambda: len(output.lines()))
    assert len(output.lines()) == count, flow.log.read_text()
    return [{**line, "body": base64.b64decode(line["body"])} for line in output.lines()]


def test_rabbitmqadmin(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    queue = rabbitmq.create_queue()
    port = rabbitmq.management.rpartition(":")[2]
    admin = [
        command("rabbitmqadmin", "it comes with Debian's rabbitmq-server"),
        *("-H", "127.0.0.1", "-P", port, "-u", "guest", "-p", PASSWORD, "publish", f"routing_key={queue}"),
    ]
    headers = {"ünï": "☃", "nested": {"list": [1, "two", True]}, "empty": ""}
    properties = {"headers": headers, "priority": 3, "correlation_id": "c-1", "delivery_mode": 2}
    for body in BODIES:
        payload = f"payload={base64.b64encode(body).decode()}"
        encoded = ["payload_encoding=base64", f"properties={json.dumps(properties)}"]
        subprocess.run([*admin, payload, *encoded], check=True, capture_output=True)

    records = received(tmp_path, {"connector": "rabbitmq", "account": rabbitmq.account, "queue": queue}, len(BODIES))

    assert [record["body"] for record in records] == BODIES
    for record in records:
        assert record["headers"] == headers
        assert record["key"] == queue
        assert (record["meta"]["priority"], record["meta"]["correlation_id"]) == (3, "c-1")
    assert rabbitmq.depth(queue) == (0, 0)


def test_kcat(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = kafka.create_topic()
    kcat = [command("kcat", "apt-get install kcat"), "-P", "-b", kafka.bootstrap_servers, "-t", topic]
    for number, body in enumerate(BODIES):
        path = tmp_path / f"body-{number}"
        path.write_bytes(body)
        # A file that is named is one message, and an empty one is none; that comes as an empty line.
        headers = ["-H", "source=shop", "-H", "ünï=☃", "-H", "source=again", "-H", "empty="]
        payload = [str(path)] if body else ["-K", ":"]
        key = ["-k", f"ключ {number}"] if body else []
        line = None if body else f"ключ {number}:\n".encode()
        subprocess.run([*kcat, *headers, *key, *payload], input=line, check=True, capture_output=True)
    subprocess.run([*kcat, "-Z", "-K", ":"], input=b"deleted:\n", check=True, capture_output=True)
    trigger = {"connector": "kafka", "account": kafka.account, "topics": [topic], "group": topic}

    # A tombstone has no body that could be encoded.
    records = received(tmp_path, trigger, len(BODIES))

    assert [record["body"] for record in records] == BODIES
    for number, record in enumerate(records):
        assert record["key"] == f"ключ {number}"
        assert record["headers"] == {"source": ["shop", "again"], "ünï": "☃", "empty": ""}
    (tombstone,) = LetterStore("foreign", tmp_path / "state").envelopes()
    assert (tombstone["key"], tombstone["body"], tombstone["origin"]["tombstone"]) == ("deleted", None, True)
    assert kafka.lag(topic, topic) == 0


def test_the_aws_command_line(any_sqs: SqsServer, tmp_path: Path) -> None:
    url = any_sqs.create_queue()
    aws = command("aws", "pip install awscli, into an environment of its own", excused=True)
    settings = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    bodies = ["☃ naïve", " ", "two\r\nlines\n", "{" * 1_000]
    attributes = {
        "source": {"DataType": "String", "StringValue": "☃"},
        "size": {"DataType": "Number", "StringValue": "-1.5"},
        "raw": {"DataType": "Binary", "BinaryValue": "cmF3"},
        "labelled": {"DataType": "Number.cents", "StringValue": "7"},
    }
    send = [aws, "--endpoint-url", any_sqs.endpoint, "sqs", "send-message", "--queue-url", url]
    for body in bodies:
        subprocess.run(
            [*send, "--message-body", body, "--message-attributes", json.dumps(attributes)],
            env={**os.environ, **settings},
            check=True,
            capture_output=True,
        )
    trigger = {"connector": "amazon-sqs", "account": any_sqs.account, "queue_url": url, "wait_time": 1}

    records = received(tmp_path, trigger, len(bodies))

    assert sorted(record["body"].decode() for record in records) == sorted(bodies)
    for record in records:
        # Its first version takes binary values as they are, the second as base64.
        assert record["headers"].pop("raw") in ("cmF3", "raw")
        assert record["headers"] == {"source": "☃", "size": -1.5, "labelled": 7}
    assert any_sqs.depth(url) == (0, 0)
