"""A broker that asks who its clients are, and lets them do only what they may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.secrets import secret
from tests.servers import maven
from tests.servers.kafka import KafkaBroker
from tests.servers.kafka_program import kafka_program
from tests.servers.process import listens, server_port

__all__ = ["PASSWORD", "SecuredBroker", "secured_kafka"]

PASSWORD = secret("Kafka")
"""Of the user `alice`."""
_PATIENCE = 60.0


class SecuredBroker(KafkaBroker):
    """Four listeners: without anything, where all is allowed; with TLS; with a login; and advertised where nobody is.

    The user `alice` has no rights but those that a test gives her.
    """

    def __init__(self, port: int, tls_port: int, login_port: int, lost_port: int, ca_file: Path) -> None:
        super().__init__(f"127.0.0.1:{port}")
        self.port, self.tls_port, self.login_port, self.lost_port = port, tls_port, login_port, lost_port
        self.ca_file = str(ca_file)

    def alice(self, password: str = PASSWORD, **fields: Any) -> dict[str, Any]:
        """Her account."""
        return {
            "bootstrap_servers": f"127.0.0.1:{self.login_port}",
            "security_protocol": "sasl_plaintext",
            "username": "alice",
            "password": password,
            **fields,
        }

    def allow(self, operation: AclOperation, kind: ResourceType, name: str) -> None:
        """Give her a right."""
        binding = AclBinding(
            kind, name, ResourcePatternType.LITERAL, "User:alice", "*", operation, AclPermissionType.ALLOW
        )
        admin = self.admin()
        admin.create_acls([binding])[binding].result(_PATIENCE)


@contextmanager
def secured_kafka(directory: Path, certificates: Path) -> Iterator[SecuredBroker]:
    """Such a broker, on the loopback interface only; skipped where Kafka cannot be had."""
    program = kafka_program()
    if isinstance(program, maven.MavenError):
        pytest.skip(f"NOT TESTED, needs a Kafka broker of its own: {program}")
    port, proxied, tls, login, lost, nobody = (server_port() for _ in range(6))
    process = program.process(directory, port, proxied, proxied)
    store = directory / "server-and-key.pem"
    store.write_text((certificates / "server.key").read_text() + (certificates / "server.pem").read_text())
    config = directory / "server.properties"
    before = dict(line.split("=", 1) for line in config.read_text().splitlines())
    local = f",SECURE://127.0.0.1:{tls},LOGIN://127.0.0.1:{login}"
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    settings = {
        "listeners": f"{before['listeners']}{local},LOST://127.0.0.1:{lost}",
        "advertised.listeners": f"{before['advertised.listeners']}{local},LOST://127.0.0.1:{nobody}",
        "listener.security.protocol.map": (
            f"{before['listener.security.protocol.map']},SECURE:SSL,LOGIN:SASL_PLAINTEXT,LOST:PLAINTEXT"
        ),
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": str(store),
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": f'{module} required user_alice="{PASSWORD}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with config.open("a") as file:
        # The last one of a name counts.
        file.writelines(f"{name}={value}\n" for name, value in settings.items())
    broker = SecuredBroker(port, tls, login, lost, certificates / "ca.pem")
    try:
        process.start(lambda: listens(lost) and bool(broker.admin().list_topics(timeout=_PATIENCE).brokers))
        yield broker
    finally:
        process.kill()
