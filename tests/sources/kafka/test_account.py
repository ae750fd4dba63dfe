from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from flowspec.errors import FatalError
from sources.kafka.account import KafkaAccount, SchemaRegistry

SERVERS = "127.0.0.1:9092"
SECRET = "very-secret"


def account(**fields: Any) -> KafkaAccount:
    return KafkaAccount.model_validate({"bootstrap_servers": SERVERS, **fields})


def test_secrets_are_not_shown() -> None:
    kafka = account(
        username="me",
        password=SECRET,
        ca_file="ca.pem",
        key_password=SECRET,
        schema_registry={"url": "http://127.0.0.1:8081", "username": "me", "password": SECRET},
        properties={"sasl.oauthbearer.client.secret": SECRET, "ssl.key.pem": SECRET, "sasl.oauthbearer.config": SECRET},
    )

    assert SECRET not in f"{kafka!r} {kafka} {kafka.model_dump()} {kafka.model_dump_json()}"
    assert kafka.config()["ssl.key.pem"] == SECRET


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        ({}, {"security.protocol": "plaintext"}),
        ({"bootstrap_servers": ["a:1", "b:2"]}, {"bootstrap.servers": "a:1,b:2"}),
        ({"bootstrap_servers": "a:1, b"}, {"bootstrap.servers": "a:1,b"}),
        ({"ca_file": "ca.pem"}, {"security.protocol": "ssl", "ssl.ca.location": "ca.pem"}),
        (
            {"certificate_file": "me.pem", "key_file": "me.key", "key_password": SECRET},
            {
                "security.protocol": "ssl",
                "ssl.certificate.location": "me.pem",
                "ssl.key.location": "me.key",
                "ssl.key.password": SECRET,
            },
        ),
        (
            {"username": "me", "password": SECRET},
            {
                "security.protocol": "sasl_ssl",
                "sasl.mechanisms": "PLAIN",
                "sasl.username": "me",
                "sasl.password": SECRET,
            },
        ),
        (
            {
                "security_protocol": "sasl_plaintext",
                "sasl_mechanism": "SCRAM-SHA-512",
                "username": "me",
                "password": SECRET,
            },
            {"security.protocol": "sasl_plaintext", "sasl.mechanisms": "SCRAM-SHA-512"},
        ),
        (
            {"properties": {"socket.keepalive.enable": True, "linger.ms": 5, "client.id": "mine"}},
            {"socket.keepalive.enable": "true", "linger.ms": 5, "client.id": "mine"},
        ),
    ],
)
def test_fields_become_properties(fields: dict[str, Any], properties: dict[str, Any]) -> None:
    config = account(**fields).config(client_id="test")

    assert {name: config[name] for name in properties} == properties


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bootstrap_servers": ""}, "'' is no broker; write its host and port"),
        ({"bootstrap_servers": []}, "is no broker"),
        ({"bootstrap_servers": ["a:1", "http://b"]}, "'http://b' is no broker"),
        ({"bootstrap_servers": "two words:1"}, "'two words:1' is no broker"),
        ({"username": "me"}, "username and password go together"),
        ({"certificate_file": "me.pem"}, "certificate_file and key_file go together"),
        ({"username": "me", "password": "x", "security_protocol": "ssl"}, "does not go with security_protocol 'ssl'"),
        ({"ca_file": "ca.pem", "security_protocol": "plaintext"}, "files of TLS do not go with"),
        ({"security_protocol": "sasl_ssl"}, "needs username and password, or sasl_mechanism"),
        ({"properties": {"sasl.password": "x"}}, "'sasl.password' has a field of its own; write it as 'password'"),
        ({"properties": {"enable.auto.commit": True}}, "'enable.auto.commit' is set by the trigger or sink"),
        ({"properties": {"error_cb": "x"}}, "'error_cb' is set by the trigger or sink"),
        ({"schema_registry": {"url": "registry:8081"}}, "schema_registry.url"),
        ({"schema_registry": {"url": "http://registry", "username": "me"}}, "go together"),
    ],
)
def test_what_does_not_go_together_is_said(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        account(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"properties": {"lingr.ms": 5}}, 'No such configuration property: "lingr.ms"'),
        ({"properties": {"linger.ms": "soon"}}, "linger.ms|queue.buffering.max.ms"),
        ({"ca_file": "/nowhere/ca.pem"}, "ssl.ca.location"),
        ({"sasl_mechanism": "OAUTHBEARER", "properties": {"sasl.oauthbearer.method": "oidc"}}, "oauthbearer"),
    ],
)
def test_what_librdkafka_does_not_take_is_said(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FatalError, match=f"the Kafka account cannot be used: .*(?:{message})"):
        account(**fields).producer("test", {})
    with pytest.raises(FatalError, match=f"the Kafka account cannot be used: .*(?:{message})"):
        account(**fields).consumer("test", {"group.id": "test"})


def test_properties_come_before_the_defaults_of_a_sink() -> None:
    with pytest.raises(FatalError, match="cannot be used"):
        account(properties={"linger.ms": -1}).producer("test", {"linger.ms": 5})


def test_librdkafka_writes_to_the_log_and_never_to_the_terminal(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "sources.kafka.account")
    producer = account(bootstrap_servers="127.0.0.1:1").producer("test", {})
    for _ in range(100):
        producer.poll(0.1)
        if caplog.records:
            break

    assert "Connection refused" in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert capfd.readouterr().err == ""


def test_a_name_that_was_not_looked_up_is_no_account() -> None:
    with pytest.raises(FatalError, match="account 'kafka' is only a name"):
        KafkaAccount.of("kafka")
    assert KafkaAccount.of(account()) == account()


def test_a_registry_may_ask_for_nobody() -> None:
    assert SchemaRegistry(url="http://127.0.0.1:8081").username is None
    assert SchemaRegistry(url="http://127.0.0.1:8081", username="me", password=SecretStr(SECRET)).password


@pytest.mark.parametrize("client", ["producer", "consumer"])
def test_without_confluent_kafka_the_way_to_install_it_is_said(client: str, tmp_path: Path) -> None:
    (tmp_path / "confluent_kafka.py").write_text("raise ImportError('not here')")
    code = f"from sources.kafka import KafkaAccount\nKafkaAccount(bootstrap_servers='a:1').{client}('test', {{}})"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "pip install 'trigger-flows[kafka]'" in run.stderr
