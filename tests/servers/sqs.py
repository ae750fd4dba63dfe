"""SQS-compatible servers, and what tests do with them."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from pipelines.demo.server import EmbeddedSqs, free_port, wait_for_port
from pipelines.demo.tether import start_tethered

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["SqsServer", "elasticmq", "ministack"]

ELASTICMQ = "org.elasticmq:elasticmq-server_2.13:1.6.11"
CACHE = Path(__file__).parents[2] / ".cache" / "elasticmq"
_numbers = itertools.count()


class SqsServer:
    """A running server."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.account = {
            "endpoint_url": endpoint,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
        }
        self.client: SQSClient = boto3.session.Session().client(
            "sqs",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
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
    jars = _jars()
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
    java = ["java", f"-Dconfig.file={config}", "-Xmx512m", "-cp", f"{jars}/*", "org.elasticmq.server.Main"]
    process = start_tethered(java, log, os.environ)
    try:
        wait_for_port(port, lambda: process.poll() is None, f"ElasticMQ did not start: {log}")
        sqs = SqsServer(f"http://127.0.0.1:{port}")
        yield sqs
        sqs.client.close()
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def _jars() -> Path:
    """The folder of ElasticMQ's jars, got once and kept."""
    jars = CACHE / "jars"
    if jars.exists():
        return jars
    if missing := [tool for tool in ("java", "mvn") if shutil.which(tool) is None]:
        pytest.skip(f"ElasticMQ is not tested: {' and '.join(missing)} not installed")
    fresh = CACHE / f"jars-{os.getpid()}"
    fresh.mkdir(parents=True)
    group, artifact, version = ELASTICMQ.split(":")
    (fresh / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>tests</groupId><artifactId>elasticmq</artifactId><version>1</version><dependencies><dependency>"
        f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        "</dependency></dependencies></project>"
    )
    copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=."]
    got = subprocess.run(copy, cwd=fresh, capture_output=True, text=True, check=False)
    if got.returncode != 0:
        shutil.rmtree(fresh)
        pytest.skip(f"ElasticMQ is not tested: Maven cannot get {ELASTICMQ}: {(got.stdout + got.stderr)[-300:]}")
    try:
        fresh.rename(jars)
    except OSError:
        # Another test process was faster.
        shutil.rmtree(fresh)
    return jars
