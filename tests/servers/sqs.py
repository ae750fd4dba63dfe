"""SQS-compatible servers, and what tests do with them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from pipelines.demo.server import EmbeddedSqs, free_port, wait_for_port
from pipelines.demo.tether import end_tethered, start_tethered
from tests.secrets import secret
from tests.servers.maven import MavenError, jars

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["SqsServer", "elasticmq", "ministack"]

_VERSION = "1.6.11"
_SECRET_KEY = secret("SqsKey")
_numbers = itertools.count()


class SqsServer:
    """A running server."""

    def __init__(self, endpoint: str, config: Config | None = None) -> None:
        self.endpoint = endpoint
        self.account = {
            "endpoint_url": endpoint,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": _SECRET_KEY,
        }
        self.client: SQSClient = boto3.session.Session().client(
            "sqs",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key=_SECRET_KEY,
            config=config,
        )

    def create_queue(self, *, fifo: bool = False, **attributes: str) -> str:
        """A queue of its own for a test; answers its URL."""
        name = f"queue-{os.getpid()}-{next(_numbers)}" + (".fifo" if fifo else "")
        if fifo:
            attributes["FifoQueue"] = "true"
        made: Any = attributes
        return self.client.create_queue(QueueName=name, Attributes=made)["QueueUrl"]

    def depth(self, url: str) -> tuple[int, int]:
        """How many messages are visible, and how many in flight."""
        answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(answer["ApproximateNumberOfMessages"]), int(answer["ApproximateNumberOfMessagesNotVisible"])

    def drain(self, url: str) -> list[str]:
        """Take every visible message out of a queue; answers their bodies."""
        bodies: list[str] = []
        while messages := self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            entries: Any = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            assert not self.client.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")
            bodies += [message["Body"] for message in messages]
        return bodies


@contextmanager
def ministack(directory: Path) -> Iterator[SqsServer]:
    """The server that the demo embeds."""
    with EmbeddedSqs(directory) as server:
        sqs = SqsServer(server.endpoint)
        yield sqs
        sqs.client.close()


@contextmanager
def elasticmq(directory: Path) -> Iterator[SqsServer]:
    """ElasticMQ; skips where Java, Maven or its artifacts are not to be had."""
    try:
        folder = jars(f"elasticmq-{_VERSION}", f"org.elasticmq:elasticmq-server_2.13:{_VERSION}")
    except MavenError as error:
        pytest.skip(f"ElasticMQ is not tested: {error}")
    port = free_port()
    config = directory / "elasticmq.conf"
    config.write_text(
        f"""
        include classpath("application.conf")
        node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
        rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
        rest-stats {{ enabled = false }}
        """
    )
    log = directory / "elasticmq.log"
    java = ["java", f"-Dconfig.file={config}", "-Xmx512m", "-cp", f"{folder}/*", "org.elasticmq.server.Main"]
    with log.open("ab") as output:
        process = start_tethered(java, output, os.environ)
    try:
        wait_for_port(port, lambda: process.poll() is None, f"ElasticMQ did not start: {log}")
        sqs = SqsServer(f"http://127.0.0.1:{port}")
        yield sqs
        sqs.client.close()
    finally:
        end_tethered(process)
