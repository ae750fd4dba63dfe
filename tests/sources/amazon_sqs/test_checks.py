"""What a check says of real SQS-compatible servers, and exactly what is wrong."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from flowspec.errors import FatalError, FlowError, TransientError
from sinks.amazon_sqs import SendMessage
from sources.amazon_sqs import AwsAccount, ListenQueue
from tests.servers.process import server_port
from tests.servers.sqs import SqsServer

KEYS: dict[str, Any] = {"region": "eu-west-1", "access_key_id": "AKIA", "secret_access_key": "very-secret"}


def account(url: str) -> AwsAccount:
    return AwsAccount(endpoint_url=url, **KEYS)


def trigger(server: SqsServer, url: str) -> ListenQueue:
    return ListenQueue(account=AwsAccount.model_validate(server.account), queue_url=url)


def problem(checked: AwsAccount | ListenQueue | SendMessage, kind: type[FlowError]) -> str:
    with pytest.raises(FlowError) as raised:
        checked.check()
    assert type(raised.value) is kind
    assert "very-secret" not in str(raised.value)
    return str(raised.value)


@contextmanager
def answering(status: int, body: str, certificates: Path | None = None) -> Iterator[str]:
    """A server that answers everything alike, with TLS where it has certificates."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            """Nobody reads it."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that does not fit is what the tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_without_sts_is_asked_for_its_queues(any_sqs: SqsServer) -> None:
    said = AwsAccount.model_validate(any_sqs.account).check()

    assert said.startswith(f"Amazon SQS at {any_sqs.endpoint}; who the credentials belong to is not checked")


def test_sts_says_whose_credentials_they_are() -> None:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        said = account(f"http://{host}:{port}").check()
    finally:
        server.stop()

    assert said.startswith(f"AWS account 123456789012 at http://{host}:{port}, as arn:aws:sts::123456789012:")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ExpiredToken", "the session token has expired"),
        ("InvalidClientTokenId", "check access_key_id"),
        ("SignatureDoesNotMatch", "check secret_access_key"),
    ],
)
def test_credentials_that_are_refused(code: str, advice: str) -> None:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>said the server</Message></Error></ErrorResponse>"
    with answering(403, body) as address:
        said = problem(account(f"http://{address}"), FatalError)

    assert f"GetCallerIdentity: {code}: said the server" in said
    assert advice in said


def test_a_server_of_another_kind() -> None:
    with answering(404, "not here") as address:
        assert "neither STS, SQS nor S3 answers" in problem(account(f"http://{address}"), FatalError)


def test_a_server_that_is_not_reached() -> None:
    assert "the connection is refused" in problem(account(f"http://127.0.0.1:{server_port()}"), TransientError)
    unknown = problem(account("http://me:very-secret@no-such-host.invalid"), TransientError)
    assert "the name of the server is not known here" in unknown
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = problem(account(f"http://127.0.0.1:{silent.getsockname()[1]}"), TransientError)
    assert "connected, and no answer in time" in said


def test_tls_that_does_not_fit(certificates: Path) -> None:
    with answering(200, "", certificates) as address:
        assert "the certificate is not trusted" in problem(account(f"https://{address}"), TransientError)
        assert "if it is a port for TLS, write https://" in problem(account(f"http://{address}"), TransientError)
    with answering(200, "") as address:
        assert "does not speak TLS" in problem(account(f"https://{address}"), TransientError)


def test_a_queue(any_sqs: SqsServer) -> None:
    url = any_sqs.create_queue()
    any_sqs.client.send_message(QueueUrl=url, MessageBody="1")

    said = trigger(any_sqs, url).check()

    assert said.startswith(f"queue {url.rpartition(chr(47))[2]} at ")
    assert "1 messages wait, 0 are in flight; not checked: the rights to receive" in said
    assert any_sqs.depth(url) == (1, 0)


def test_a_queue_that_does_not_exist(any_sqs: SqsServer) -> None:
    url = f"{any_sqs.create_queue()}-missing"
    sink = SendMessage(account=AwsAccount.model_validate(any_sqs.account), queue_url=url)
    for checked in (trigger(any_sqs, url), sink):
        said = problem(checked, FatalError)
        assert f"{url}: GetQueueAttributes" in said
        assert "the queue does not exist" in said


def test_attributes_that_may_not_be_read() -> None:
    body = '{"__type": "com.amazonaws.sqs#AccessDenied", "message": "no"}'
    with answering(403, body) as address:
        listener = ListenQueue(account=account(f"http://{address}"), queue_url=f"http://{address}/1/orders")
        said = listener.check()

    assert said.startswith(
        f"queue orders at {address}: its attributes may not be read, so that it exists is not checked"
    )


def test_a_fifo_sink_needs_what_tells_duplicates(any_sqs: SqsServer) -> None:
    def sink(url: str, **fields: Any) -> SendMessage:
        given = {"account": any_sqs.account, "queue_url": url, "group_id": "{id}", **fields}
        return SendMessage.model_validate(given)

    plain = any_sqs.create_queue(fifo=True)
    by_content = any_sqs.create_queue(fifo=True, ContentBasedDeduplication="true")

    assert "give deduplication_id" in problem(sink(plain), FatalError)
    for good in (sink(plain, deduplication_id="{id}"), sink(by_content)):
        assert "not checked: the right to send messages" in good.check()
