from __future__ import annotations

from typing import Any

import pytest

from flowspec.connectors import Account
from flowspec.loading.problems import Path
from pipelines.accounts.fields import place_of, value_of
from sources.http.account import HttpAccount
from sources.kafka.account import KafkaAccount
from sources.rabbitmq.account import RabbitAccount


@pytest.mark.parametrize(
    ("model", "key", "text", "path", "value"),
    [
        (RabbitAccount, "heartbeat", "30", ("heartbeat",), 30),
        (RabbitAccount, "heartbeat", "30s", ("heartbeat",), "30s"),
        (RabbitAccount, "password", "123", ("password",), "123"),
        (RabbitAccount, "urls", '["amqp://a"]', ("urls",), ["amqp://a"]),
        (RabbitAccount, "urls", '"amqp://a"', ("urls",), '"amqp://a"'),
        (RabbitAccount, "urls", "null", ("urls",), "null"),
        (RabbitAccount, "pasword", "123", ("pasword",), "123"),
        (HttpAccount, "verify", "false", ("verify",), False),
        (HttpAccount, "oauth2.client_id", "7", ("oauth2", "client_id"), "7"),
        (HttpAccount, "oauth2.credentials_in", "body", ("oauth2", "credentials_in"), "body"),
        (HttpAccount, "headers.X-Tenant", "7", ("headers", "X-Tenant"), "7"),
        (HttpAccount, "headers", '{"X-Tenant": "7"}', ("headers",), {"X-Tenant": "7"}),
        (HttpAccount, "verify.deep", "false", ("verify", "deep"), "false"),
        (KafkaAccount, "properties.client.rack", "a", ("properties", "client.rack"), "a"),
        (KafkaAccount, "bootstrap_servers", "a:1,b:2", ("bootstrap_servers",), "a:1,b:2"),
        (KafkaAccount, "security_protocol", "ssl", ("security_protocol",), "ssl"),
    ],
)
def test_a_field_of_the_command_line(model: type[Account], key: str, text: str, path: Path, value: Any) -> None:
    found, annotation = place_of(model, key)
    given = value_of(text, annotation)
    assert (found, given, type(given)) == (path, value, type(value))
