from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr, ValidationError

from flowspec.errors import FatalError
from sources.amazon_sqs import AwsAccount

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
SECRET = SecretStr("very-secret")


def test_secrets_are_not_shown() -> None:
    account = AwsAccount(access_key_id="AKIA", secret_access_key=SECRET, session_token=SECRET)

    assert "very-secret" not in f"{account!r} {account} {account.model_dump()} {account.model_dump_json()}"


def test_half_a_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="access_key_id and secret_access_key go together"):
        AwsAccount(access_key_id="AKIA")


@pytest.mark.parametrize(
    ("account", "url", "region"),
    [
        (AwsAccount(), QUEUE, "eu-west-1"),
        (AwsAccount(region="us-west-2"), QUEUE, "us-west-2"),
        (AwsAccount(), "https://vpce-1.sqs.ap-south-1.vpce.amazonaws.com/1/orders", "ap-south-1"),
        (AwsAccount(), "https://eu-north-1.queue.amazonaws.com/1/orders", "eu-north-1"),
        (AwsAccount(endpoint_url="http://127.0.0.1:1"), "http://127.0.0.1:1/1/orders", "us-east-1"),
    ],
)
def test_the_region_is_found(account: AwsAccount, url: str, region: str) -> None:
    client = account.client("sqs", url=url, connections=1)

    assert client.meta.region_name == region
    client.close()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        (QUEUE, "https://sqs.eu-west-1.amazonaws.com"),
        ("http://127.0.0.1:9324/000000000000/orders", "http://127.0.0.1:9324"),
        (
            "https://vpce-1.sqs.ap-south-1.vpce.amazonaws.com/1/orders",
            "https://vpce-1.sqs.ap-south-1.vpce.amazonaws.com",
        ),
    ],
)
def test_calls_go_where_the_queue_is(url: str, server: str) -> None:
    client = AwsAccount().client("sqs", url=url, connections=1)

    assert client.meta.endpoint_url == server
    client.close()


def test_boto3s_own_setting_of_a_server_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    client = AwsAccount().client("sqs", url="http://sqs.local:9324/1/orders", connections=1)

    assert client.meta.endpoint_url == "http://127.0.0.1:1"
    client.close()


def test_no_region_at_all_is_said() -> None:
    with pytest.raises(FatalError, match="the AWS account cannot be used: You must specify a region"):
        AwsAccount().client("sqs", url="https://queue.amazonaws.com/1/orders", connections=1)


@pytest.mark.parametrize("endpoint", ["http://", "http://two words", "https://[::1"])
def test_an_endpoint_that_is_none_is_said(endpoint: str) -> None:
    with pytest.raises(FatalError, match="the AWS account cannot be used: Invalid"):
        AwsAccount(region="eu-west-1", endpoint_url=endpoint).client("sqs", url=QUEUE, connections=1)


def test_an_unknown_profile_is_said() -> None:
    with pytest.raises(FatalError, match="nobody"):
        AwsAccount(profile="nobody").client("sqs", url=QUEUE, connections=1)


def test_a_name_that_was_not_looked_up_is_no_account() -> None:
    with pytest.raises(FatalError, match="account 'aws' is only a name"):
        AwsAccount.of("aws")
    assert AwsAccount.of(None) == AwsAccount()


@pytest.fixture
def aws() -> Iterator[str]:
    """A server with IAM and STS, which the SQS servers do not have."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_role_is_assumed(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws)
    role = "arn:aws:iam::123456789012:role/orders"
    account = AwsAccount(region="eu-west-1", access_key_id="AKIA", secret_access_key=SECRET, role_arn=role)

    client = account.client("sts", url=QUEUE, connections=1)

    assert client.get_caller_identity()["Arn"] == "arn:aws:sts::123456789012:assumed-role/orders/trigger-flows"
    client.close()


def test_a_role_needs_credentials() -> None:
    with pytest.raises(FatalError, match="no credentials to assume"):
        AwsAccount(role_arn="arn:aws:iam::1:role/orders").client("sqs", url=QUEUE, connections=1)


def test_without_boto3_the_way_to_install_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "botocore.py").write_text("raise ImportError('not here')")
    code = f"from sources.amazon_sqs import AwsAccount\nAwsAccount().client('sqs', url={QUEUE!r}, connections=1)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "pip install 'trigger-flows[sqs]'" in run.stderr
