"""S3-compatible servers, and what tests do with them."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from tests.secrets import secret
from tests.servers.maven import MavenError, jars
from tests.servers.process import ServerProcess, listens, server_port

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Server", "ministack_s3", "s3proxy"]

_S3PROXY = "3.0.0"
_SECRET_KEY = secret("S3Key")
_numbers = itertools.count()
_LOGGING = """
<configuration>
  <appender name="all" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %level %logger %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="all"/></root>
</configuration>
"""


class S3Server:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.account = {
            "endpoint_url": f"http://127.0.0.1:{port}",
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": _SECRET_KEY,
        }
        self.client: S3Client = boto3.session.Session().client(
            "s3",
            endpoint_url=self.account["endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key=_SECRET_KEY,
            # S3Proxy knows nothing of the checksums that newer clients send unasked.
            config=Config(request_checksum_calculation="when_required", max_pool_connections=32),
        )

    def create_bucket(self) -> str:
        """A bucket of its own for a test; answers its name."""
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, key: str, content: bytes) -> str:
        """Store an object; answers its ETag."""
        return self.client.put_object(Bucket=bucket, Key=key, Body=content)["ETag"]

    def get(self, bucket: str, key: str) -> bytes:
        """The content of an object."""
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of all objects, in their order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]


@contextmanager
def ministack_s3(directory: Path) -> Iterator[S3Server]:
    """Ministack; it says to the millisecond when an object was modified."""
    port = server_port()
    environment = {
        **os.environ,
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
        # It would listen on all interfaces.
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "ministack"]
    with _served(ServerProcess(command, directory / "ministack.log", environment), port) as server:
        yield server


@contextmanager
def s3proxy(directory: Path) -> Iterator[S3Server]:
    """S3Proxy, in memory; it says to the second when an object was modified, as Amazon S3 does.

    Skips where Java, Maven or its artifacts are not to be had.
    """
    try:
        folder = jars(f"s3proxy-{_S3PROXY}", f"org.gaul:s3proxy:{_S3PROXY}")
    except MavenError as error:
        pytest.skip(f"S3Proxy is not tested: {error}")
    port = server_port()
    logging, properties = directory / "logback.xml", directory / "s3proxy.conf"
    logging.write_text(_LOGGING)
    properties.write_text(
        f"s3proxy.endpoint=http://127.0.0.1:{port}\n"
        f"s3proxy.authorization=aws-v2-or-v4\ns3proxy.identity=test\ns3proxy.credential={_SECRET_KEY}\n"
        "jclouds.provider=transient\njclouds.identity=any\njclouds.credential=any\n"
    )
    java = ["java", "-Xmx512m", f"-Dlogback.configurationFile={logging}", "-cp", f"{folder}/*"]
    command = [*java, "org.gaul.s3proxy.Main", "--properties", str(properties)]
    with _served(ServerProcess(command, directory / "s3proxy.log", os.environ), port) as server:
        yield server


@contextmanager
def _served(process: ServerProcess, port: int) -> Iterator[S3Server]:
    process.start(lambda: listens(port))
    server = S3Server(port)
    try:
        yield server
    finally:
        server.client.close()
        process.terminate()
