from __future__ import annotations

import pytest
from pydantic import BaseModel

from flowspec.loading.problems import Path
from flowspec.loading.secret_fields import is_secret
from sources.http.account import HttpAccount
from sources.kafka.account import KafkaAccount
from sources.rabbitmq.account import RabbitAccount
from sources.sql.account import SqlAccount


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (HttpAccount, ("password",)),
        (HttpAccount, ("headers", "X-Tenant")),
        (HttpAccount, ("oauth2", "client_secret")),
        (HttpAccount, ("no_such_field",)),
        (KafkaAccount, ("properties", "sasl.oauthbearer.config")),
        (KafkaAccount, ("schema_registry", "password")),
        (RabbitAccount, ("urls", 0)),
        (SqlAccount, ("url",)),
        (SqlAccount, ("options", "sslpassword")),
        (None, ("anything",)),
    ],
)
def test_what_may_be_secret(model: type[BaseModel] | None, path: Path) -> None:
    assert is_secret(model, path)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (HttpAccount, ("base_url",)),
        (HttpAccount, ("trusted_hosts", 0)),
        (HttpAccount, ("oauth2", "client_id")),
        (KafkaAccount, ("bootstrap_servers", 0)),
        (KafkaAccount, ("schema_registry", "url")),
        (SqlAccount, ("username",)),
    ],
)
def test_what_may_be_shown(model: type[BaseModel], path: Path) -> None:
    assert not is_secret(model, path)
