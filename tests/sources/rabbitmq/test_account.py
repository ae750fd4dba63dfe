from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pika
import pytest
from pydantic import ValidationError

from flowspec.errors import FatalError, MissingDependencyError
from flowspec.loading import SpecError, load
from sources.rabbitmq.account import RabbitAccount, address_of
from sources.rabbitmq.errors import classify
from tests.servers.process import server_port
from tests.servers.rabbitmq import RabbitNode

SECRET = "s3cr3t!"


def parameters(**fields: Any) -> list[pika.ConnectionParameters]:
    return RabbitAccount.model_validate(fields).parameters("orders")


def credentials(each: pika.ConnectionParameters) -> tuple[str, str]:
    assert isinstance(each.credentials, pika.PlainCredentials)
    return each.credentials.username, each.credentials.password


@pytest.mark.parametrize(
    ("fields", "address", "user"),
    [
        ({}, "amqp://localhost:5672/", ("guest", "guest")),
        ({"url": "amqp://rabbit"}, "amqp://rabbit:5672/", ("guest", "guest")),
        ({"url": "amqp://rabbit/"}, "amqp://rabbit:5672/", ("guest", "guest")),
        ({"url": "amqp://rabbit//"}, "amqp://rabbit:5672/", ("guest", "guest")),
        ({"url": "amqp://rabbit/%2F"}, "amqp://rabbit:5672/", ("guest", "guest")),
        ({"url": "amqp://a:b@rabbit:1/shop"}, "amqp://rabbit:1/shop", ("a", "b")),
        ({"url": "amqp://a:b@rabbit/shop", "virtual_host": "x/y"}, "amqp://rabbit:5672/x%2Fy", ("a", "b")),
        ({"url": "amqp://a%40b:%2F%23%3F@[::1]:1"}, "amqp://[::1]:1/", ("a@b", "/#?")),
        ({"url": "amqp://a@rabbit", "password": "b"}, "amqp://rabbit:5672/", ("a", "b")),
        ({"url": "amqp://a:b@rabbit", "password": "c"}, "amqp://rabbit:5672/", ("a", "c")),
        ({"url": "amqp://a:b@rabbit", "username": "c", "password": "d"}, "amqp://rabbit:5672/", ("c", "d")),
        ({"url": "amqps://rabbit"}, "amqps://rabbit:5671/", ("guest", "guest")),
        ({"url": "amqps://rabbit:5672", "verify": False}, "amqps://rabbit:5672/", ("guest", "guest")),
    ],
)
def test_a_url_and_the_fields_beside_it(fields: dict[str, Any], address: str, user: tuple[str, str]) -> None:
    (found,) = parameters(**fields)
    assert address_of(found) == address
    assert credentials(found) == user


def test_several_urls_are_tried_in_the_order_in_which_they_are_given() -> None:
    urls = [f"amqp://rabbit-{number}/" for number in range(20)]
    hosts = [each.host for each in parameters(urls=urls)]
    assert hosts == [f"rabbit-{number}" for number in range(20)]

    shuffled = [[each.host for each in parameters(urls=urls, shuffle=True)] for _ in range(5)]
    assert any(order != hosts for order in shuffled)
    assert all(sorted(order) == sorted(hosts) for order in shuffled)


def test_how_to_connect() -> None:
    (found,) = parameters(url="amqp://rabbit", heartbeat="30s", connect_timeout="500ms")
    assert (found.heartbeat, found.socket_timeout, found.connection_attempts) == (30, 0.5, 1)
    assert found.client_properties == {"connection_name": "orders"}
    assert parameters()[0].heartbeat is None, "what the broker says"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": f"http://a:{SECRET}@rabbit"}, "url: a URL is like amqp://user:password@host:5672/virtual-host"),
        ({"url": "rabbit:5672"}, "url: a URL is like"),
        ({"url": f"amqp://a:{SECRET}/x@rabbit"}, "url: what follows the host's ':' is not a port; in a password '/'"),
        ({"url": f"amqp://a:{SECRET}@rabbit:port"}, "url: what follows the host's ':' is not a port"),
        ({"url": f"amqp://a:{SECRET}@rabbit:70000"}, "url: what follows the host's ':' is not a port"),
        ({"url": f"amqp://a:{SECRET}@rabbit/?heartbeat=5"}, "options like heartbeat are fields of the account"),
        ({"url": f"amqp://a:{SECRET}@"}, "url: the URL has no host"),
        ({"urls": ["amqp://rabbit", f"amqp://a:{SECRET}@"]}, "urls[1]: the URL has no host"),
        ({"url": "amqp://rabbit", "urls": ["amqp://rabbit"]}, "give 'url' or 'urls', not both"),
        ({"url": "amqp://a@rabbit"}, "the URL has a user name without a password: give 'password'"),
        ({"username": "a"}, "'username' is given without a password"),
        ({"url": "amqp://rabbit", "ca_file": "ca.pem"}, "are for URLs that begin with amqps://"),
        ({"url": "amqp://rabbit", "verify": False}, "are for URLs that begin with amqps://"),
        ({"url": "amqps://rabbit", "key_file": "key"}, "key_file goes with certificate_file"),
        ({"heartbeat": -1}, "greater than or equal to 0"),
        ({"connect_timeout": 0}, "greater than 0"),
        ({"pasword": SECRET}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said_without_a_secret(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RabbitAccount.model_validate(fields)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert "amqp://a:" not in str(caught.value)


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"url": "http://rabbit"}, "sink.account: url: a URL is like amqp://user:password@host:5672/virtual-host"),
        ({"urls": ["amqp://rabbit", "amqp://"]}, "sink.account: urls[1]: the URL has no host"),
        ({"heartbeat": "often"}, "sink.account.heartbeat: "),
        ({"adress": "amqp://rabbit"}, "sink.account.adress: unknown key 'adress'"),
    ],
)
def test_a_spec_says_where_its_account_is_wrong(tmp_path: Path, account: dict[str, Any], message: str) -> None:
    spec = tmp_path / "spec.json"
    sink = {"connector": "rabbitmq", "action": "publish", "account": account, "routing_key": "a"}
    trigger = {"connector": "rabbitmq", "event": "consume-queue", "queue": "b"}
    spec.write_text(json.dumps({"name": "orders", "trigger": trigger, "sink": sink}))
    with pytest.raises(SpecError) as caught:
        load(spec, environ={})
    assert message in str(caught.value)


def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    account = RabbitAccount.model_validate(
        {"urls": [f"amqp://a:{SECRET}@127.0.0.1:{server_port()}", "amqp://b@rabbit"], "password": SECRET}
    )
    found = account.parameters("orders")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is pika's business
        pika.BlockingConnection(found[0])
    error = classify(caught.value, address_of(found[0]))
    shown = (
        f"{account} {account!r} {account.model_dump_json()} {found} {error} {error!r} {caught.value!r} {caplog.text}"
    )
    assert SECRET not in shown


def test_a_name_alone_is_no_account() -> None:
    with pytest.raises(FatalError, match="account 'rabbit' is only a name"):
        RabbitAccount.of("rabbit")
    assert RabbitAccount.of(None) == RabbitAccount()


def test_without_pika_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pika", None)
    with pytest.raises(MissingDependencyError, match=r"trigger-flows\[rabbitmq\]"):
        parameters()


def queues(account: dict[str, Any]) -> None:
    """Use a connection of an account."""
    (found,) = RabbitAccount.model_validate(account).parameters("test")
    try:
        connection = pika.BlockingConnection(found)
    except Exception as error:
        raise classify(error, address_of(found)) from error
    with connection:
        assert connection.channel().queue_declare("", exclusive=True).method.queue


def test_a_broker_with_tls(tls_port: int, certificates: Path) -> None:
    queues({"url": RabbitNode.url_at(tls_port, "amqps"), "ca_file": str(certificates / "ca.pem")})
    queues({"url": RabbitNode.url_at(tls_port, "amqps"), "verify": False})


def test_a_broker_whose_certificate_is_not_trusted(tls_port: int) -> None:
    with pytest.raises(FatalError, match=r"the broker's certificate is not trusted: self.signed .* \(check ca_file"):
        queues({"url": f"amqps://127.0.0.1:{tls_port}"})


def test_a_broker_with_the_certificate_of_another_host(tls_port: int, certificates: Path) -> None:
    with pytest.raises(FatalError, match="Hostname mismatch, certificate is not valid for 'localhost'"):
        queues({"url": f"amqps://localhost:{tls_port}", "ca_file": str(certificates / "ca.pem")})


def test_a_client_with_a_certificate(strict_port: int, certificates: Path) -> None:
    account = {"url": RabbitNode.url_at(strict_port, "amqps"), "ca_file": str(certificates / "ca.pem")}
    own = {"certificate_file": str(certificates / "client.pem"), "key_file": str(certificates / "client.key")}
    queues({**account, **own})
    with pytest.raises(Exception, match="certificate_file"):
        queues(account)


def test_files_that_cannot_be_used_are_named(certificates: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "rsa", "-aes128", "-passout", "pass:x", "-in", certificates / "client.key", "-out", locked],
        check=True,
        capture_output=True,
    )
    certificate = str(certificates / "client.pem")
    with pytest.raises(FatalError, match=r"ca_file /no/such cannot be used: .*No such file"):
        parameters(url="amqps://rabbit", ca_file="/no/such")
    with pytest.raises(FatalError, match=r"client.pem or /no/such\) cannot be used: .*No such file"):
        parameters(url="amqps://rabbit", certificate_file=certificate, key_file="/no/such")
    with pytest.raises(FatalError, match="cannot be used: the key is encrypted"):
        parameters(url="amqps://rabbit", certificate_file=certificate, key_file=str(locked))
