"""A real schema registry, Apicurio's, which speaks the protocol of Confluent's, and what tests do with it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from tests.servers import maven
from tests.servers.missing import missing
from tests.servers.process import ServerProcess, server_port

__all__ = ["RegistryServer", "schema_registry"]

VERSION = "2.6.13.Final"
_PATH = "/apis/ccompat/v7"
_TIMEOUT = 300.0
_numbers = itertools.count()


class RegistryServer:
    """A running registry, which keeps its schemas in memory."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = self.url_at(port)
        self.account: dict[str, Any] = {"url": self.url}
        self.client = SchemaRegistryClient({"url": self.url})

    @staticmethod
    def url_at(port: int) -> str:
        """Where the registry is for a client that reaches it through another port."""
        return f"http://127.0.0.1:{port}{_PATH}"

    def subject(self) -> str:
        """The name of a subject of its own for a test."""
        return f"subject-{os.getpid()}-{next(_numbers)}"

    def register(self, subject: str, schema: Any, kind: str = "AVRO") -> int:
        """Register a schema; answers its id."""
        return self.client.register_schema(subject, Schema(json.dumps(schema), kind))

    def registered(self, subject: str) -> list[int]:
        """The versions that a subject has."""
        return self.client.get_versions(subject)


@contextmanager
def schema_registry(directory: Path) -> Iterator[RegistryServer]:
    """A registry of its own, on the loopback interface only; skips where it is not to be had."""
    try:
        program = _program()
    except maven.MavenError as error:
        missing("the schema registry", str(error))
    port = server_port()
    java = [
        "java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true",
        "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}",
        "-jar", str(program / f"apicurio-registry-app-{VERSION}-runner.jar"),
    ]  # fmt: skip
    process = ServerProcess(java, directory / "registry.log", os.environ)
    process.start(lambda: _answers(port))
    try:
        registry = RegistryServer(port)
        yield registry
        registry.client.close()
    finally:
        process.kill()


def _answers(port: int) -> bool:
    try:
        with urlopen(f"{RegistryServer.url_at(port)}/subjects", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


def _program() -> Path:
    """The folder of the program, got once and kept."""
    folder = maven.CACHE / f"apicurio-registry-{VERSION}"
    if folder.exists():
        return folder
    if lacking := [tool for tool in ("java", "mvn") if shutil.which(tool) is None]:
        msg = f"{' and '.join(lacking)} not installed"
        raise maven.MavenError(msg)
    maven.CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=maven.CACHE) as fresh:
        artifact = f"io.apicurio:apicurio-registry-app:{VERSION}:zip:all"
        unpack = ["mvn", "-q", "-B", "dependency:unpack", f"-Dartifact={artifact}", "-DoutputDirectory=program"]
        try:
            subprocess.run(unpack, cwd=fresh, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            msg = f"Maven cannot get {artifact}: {error}: {str(error.stdout)[-300:]}"
            raise maven.MavenError(msg) from error
        maven.keep(Path(fresh, "program"), folder)
    return folder
