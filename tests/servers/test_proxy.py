"""The proxy fails as it is told, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.servers.proxy import FaultyProxy
from tests.servers.sqs import SqsServer

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def proxy(any_sqs: SqsServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(any_sqs.endpoint) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultyProxy) -> Iterator[SQSClient]:
    """A client that asks once."""
    server = SqsServer(proxy.endpoint, Config(retries={"total_max_attempts": 1}))
    yield server.client
    server.client.close()


def send(client: SQSClient, url: str, *bodies: str) -> tuple[list[str], list[str]]:
    """Send one batch; answers the bodies that were accepted, and those that were not."""
    answer = client.send_message_batch(
        QueueUrl=url, Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
    )
    return (
        [bodies[int(entry["Id"])] for entry in answer.get("Successful", [])],
        [bodies[int(entry["Id"])] for entry in answer.get("Failed", [])],
    )


def test_it_passes_on_and_remembers(any_sqs: SqsServer, proxy: FaultyProxy, client: SQSClient) -> None:
    url = any_sqs.create_queue()

    assert send(client, url, "a", "b") == (["a", "b"], [])
    assert sorted(any_sqs.drain(url)) == ["a", "b"]
    assert proxy.calls("SendMessageBatch") == 1
    assert b'"MessageBody": "b"' in proxy.bodies("SendMessageBatch")[0]
    assert proxy.calls("DeleteMessageBatch") == 0


def test_it_refuses_one_action_until_it_is_allowed(any_sqs: SqsServer, proxy: FaultyProxy, client: SQSClient) -> None:
    url = any_sqs.create_queue()
    proxy.refuse("SendMessageBatch")

    with pytest.raises(ClientError, match="refused by the test") as refused:
        send(client, url, "a")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert client.receive_message(QueueUrl=url).get("Messages", []) == []

    proxy.allow("SendMessageBatch")
    assert send(client, url, "a") == (["a"], [])


def test_cut_off_nothing_is_done(any_sqs: SqsServer, proxy: FaultyProxy, client: SQSClient) -> None:
    url = any_sqs.create_queue()
    proxy.refuse("SendMessageBatch", "cut off")

    with pytest.raises(ConnectionClosedError):
        send(client, url, "a")

    assert any_sqs.drain(url) == []


def test_with_its_answer_lost_it_is_done(any_sqs: SqsServer, proxy: FaultyProxy, client: SQSClient) -> None:
    url = any_sqs.create_queue()
    proxy.refuse("SendMessageBatch", "answer lost")

    with pytest.raises(ConnectionClosedError):
        send(client, url, "a")

    assert any_sqs.drain(url) == ["a"]


def test_a_part_of_a_batch_fails(any_sqs: SqsServer, proxy: FaultyProxy, client: SQSClient) -> None:
    url = any_sqs.create_queue()
    proxy.refuse("SendMessageBatch", "every second entry")

    assert send(client, url, "a", "b", "c", "d") == (["b", "d"], ["a", "c"])
    assert send(client, url, "e") == ([], ["e"])
    assert sorted(any_sqs.drain(url)) == ["b", "d"]


def test_down_and_up(any_sqs: SqsServer, proxy: FaultyProxy, client: SQSClient) -> None:
    url = any_sqs.create_queue()

    proxy.down()
    with pytest.raises(ConnectionClosedError):
        send(client, url, "a")
    proxy.up()

    assert send(client, url, "a") == (["a"], [])


def test_a_delayed_answer_is_later_than_the_client_waits(any_sqs: SqsServer, proxy: FaultyProxy) -> None:
    url = any_sqs.create_queue()
    server = SqsServer(proxy.endpoint, Config(read_timeout=0.2, retries={"total_max_attempts": 1}))
    proxy.delay("SendMessageBatch", 5)

    with pytest.raises(Exception, match="Read timeout"):
        send(server.client, url, "a")

    server.client.close()
