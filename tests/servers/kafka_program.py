"""Apache Kafka from Maven's registry, made to start quickly."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.servers import maven
from tests.servers.process import ServerProcess, listens, server_port

__all__ = ["KafkaProgram", "kafka_program"]

_VERSION = "3.9.1"
_ARTIFACTS = f"org.apache.kafka:kafka_2.13:{_VERSION}", "org.slf4j:slf4j-reload4j:1.7.36"
_JVM = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
_FORMAT_TIMEOUT = 180.0


class KafkaProgram:
    """How a broker is started.

    A broker needs a formatted directory and thousands of classes, which takes six seconds; with both prepared once
    and kept, it is one.

    Raises:
        MavenError: it is not to be had, and why.
    """

    def __init__(self) -> None:
        self._jars = maven.jars(f"kafka-{_VERSION}", *_ARTIFACTS)
        self._prepared = maven.CACHE / f"kafka-{_VERSION}-prepared"
        if not self._prepared.exists():
            with tempfile.TemporaryDirectory(dir=maven.CACHE) as fresh:
                self._prepare(Path(fresh))

    def process(self, directory: Path, port: int, proxied_port: int, proxy_port: int) -> ServerProcess:
        """A broker whose data are in `directory`.

        Args:
            directory: For its data, its configuration and its log.
            port: Where clients reach it.
            proxied_port: Where the proxy reaches it.
            proxy_port: Where the proxy's clients are told to find it.
        """
        shutil.copytree(self._prepared / "formatted", directory / "data")
        config = _configure(directory, port, proxied_port, proxy_port)
        return self._process(directory, config, f"-XX:SharedArchiveFile={self._prepared / 'classes.jsa'}")

    def _prepare(self, directory: Path) -> None:
        port, made = server_port(), directory / "made"
        config = _configure(directory, port, server_port(), server_port())
        made.mkdir()
        tool = ["kafka.tools.StorageTool", "format", "-t", "dHJpZ2dlci1mbG93cy0xMg", "-c", str(config)]
        subprocess.run(
            [*_JVM, "-cp", f"{self._jars}/*", *tool], capture_output=True, timeout=_FORMAT_TIMEOUT, check=True
        )
        shutil.copytree(directory / "data", made / "formatted")
        broker = self._process(directory, config, f"-XX:ArchiveClassesAtExit={made / 'classes.jsa'}")
        broker.start(lambda: listens(port))
        broker.terminate()
        maven.keep(made, self._prepared)

    def _process(self, directory: Path, config: Path, *options: str) -> ServerProcess:
        (directory / "tmp").mkdir(exist_ok=True)
        java = [
            *_JVM,
            *options,
            f"-Djava.io.tmpdir={directory / 'tmp'}",
            f"-Dlog4j.configuration=file:{config.with_name('log4j.properties')}",
        ]
        command = [*java, "-cp", f"{self._jars}/*", "kafka.Kafka", str(config)]
        return ServerProcess(command, directory / "kafka.log", os.environ)


@cache
def kafka_program() -> KafkaProgram | maven.MavenError:
    """It, or why it is not to be had, which is found out only once."""
    try:
        return KafkaProgram()
    except maven.MavenError as error:
        return error


def _configure(directory: Path, port: int, proxied_port: int, proxy_port: int) -> Path:
    controller = server_port()
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "log.dirs": directory / "data",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "DIRECT",
        "listeners": (
            f"DIRECT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxied_port},CONTROLLER://127.0.0.1:{controller}"
        ),
        "advertised.listeners": f"DIRECT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy_port}",
        "listener.security.protocol.map": "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "auto.create.topics.enable": "false",
        # Records with old timestamps stay.
        "log.retention.ms": -1,
        # One node does all, and need not wait for others.
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.segment.bytes": 1048576,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.segment.bytes": 1048576,
        "group.initial.rebalance.delay.ms": 0,
        "controller.quorum.election.timeout.ms": 200,
        "broker.heartbeat.interval.ms": 200,
        "broker.session.timeout.ms": 3000,
        # Consumers that are killed may be missed soon, where a test asks for it.
        "group.min.session.timeout.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    }
    config = directory / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    (directory / "log4j.properties").write_text(
        """
        log4j.rootLogger=WARN, out
        log4j.appender.out=org.apache.log4j.ConsoleAppender
        log4j.appender.out.layout=org.apache.log4j.PatternLayout
        log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
        """
    )
    return config
