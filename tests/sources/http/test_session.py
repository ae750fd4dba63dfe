"""Requests: bounded in size and time, and to nobody who must not get them."""

from __future__ import annotations

import gzip
import logging
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowspec.errors import FatalError, TransientError
from sources.http import HttpAccount
from sources.http.calls import Answer, Call
from sources.http.session import Limits, Session
from tests.secrets import secret
from tests.servers.http_server import HANG, HttpServer, Reply, Seen, json_reply
from tests.servers.process import server_port

MIB = 1024 * 1024


def get(url: str, account: dict[str, Any] | None = None, **limits: Any) -> Answer:
    session = Session(HttpAccount.model_validate(account or {}), url, Limits(**{"size": MIB, **limits}))
    try:
        return session.exchange(Call("GET", url))
    finally:
        session.close()


def chunks(data: bytes) -> Iterator[bytes]:
    while True:
        yield b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, body=b"x" * (MIB + 1)),
        Reply(200, {"Transfer-Encoding": "chunked"}, raw=chunks(b"x" * 10_000)),
        Reply(200, raw=iter(lambda: b"x" * 10_000, b"")),
        Reply(200, {"Content-Length": str(10**15)}, raw=[b"x"]),
        Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 500 * MIB, 1)),
        Reply(200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * MIB) * 2),
    ],
    ids=["too large", "endless chunks", "endless", "lies", "bomb", "two members"],
)
def test_an_answer_is_never_larger_than_it_may_be(server: HttpServer, reply: Reply) -> None:
    server.route("/", reply)
    with pytest.raises(TransientError, match="more than max_size"):
        get(server.url + "/")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("identity", b"x" * MIB),
        ("gzip", gzip.compress(b"x" * MIB)),
        ("deflate", zlib.compress(b"x" * MIB)),
        ("gzip", gzip.compress(b"x" * (MIB - 5)) + gzip.compress(b"x" * 5)),
    ],
)
def test_an_answer_may_be_as_large_as_that(server: HttpServer, encoding: str, body: bytes) -> None:
    server.route("/", Reply(200, {"Content-Encoding": encoding}, body))
    assert get(server.url + "/").body == b"x" * MIB


def test_half_of_what_was_compressed_is_no_answer(server: HttpServer) -> None:
    body = gzip.compress(b"abc" * 1000)
    server.route("/", Reply(200, {"Content-Encoding": "gzip"}, body[:-10]))
    with pytest.raises(TransientError, match="not complete"):
        get(server.url + "/")


@pytest.mark.parametrize(
    "raw",
    [[HANG], [b"5\r\nhello\r\n", HANG], iter(lambda: b"1\r\nx\r\n", b"")],
    ids=["silent", "chunked without end", "drip"],
)
def test_a_request_under_way_can_be_cancelled(server: HttpServer, raw: Any) -> None:
    server.route("/", Reply(200, {"Transfer-Encoding": "chunked"}, raw=raw, pause=0.05))
    session = Session(HttpAccount(), server.url, Limits(size=MIB))
    errors: list[Exception] = []

    def work() -> None:
        try:
            session.exchange(Call("GET", server.url + "/"))
        except TransientError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not server.requests:
        time.sleep(0.01)
    time.sleep(0.2)
    began = time.monotonic()
    session.cancel()
    thread.join(20)
    assert time.monotonic() - began < 10, "it does not wait for read_timeout"
    assert "cancelled" in str(errors[0])
    with pytest.raises(TransientError, match="cancelled"):
        session.exchange(Call("GET", server.url + "/"))
    session.rearm()
    server.route("/", Reply(200, body=b"fine"))
    assert session.exchange(Call("GET", server.url + "/")).body == b"fine"
    session.close()


def test_silence_has_an_end(server: HttpServer) -> None:
    server.route("/", Reply(200, raw=[HANG]))
    with pytest.raises(TransientError, match="silent for longer than read_timeout"):
        get(server.url + "/", {"read_timeout": 0.2})
    with pytest.raises(TransientError, match="in time"):
        get(server.url + "/", seconds=0.2)


def test_nobody_is_there() -> None:
    with pytest.raises(TransientError, match="refused"):
        get(f"http://127.0.0.1:{server_port()}/orders?key=secret")
    with pytest.raises(TransientError, match=r"GET http://no-such-host\.invalid/orders:"):
        get("http://no-such-host.invalid/orders")


def test_redirects_are_followed_and_not_for_ever(server: HttpServer) -> None:
    server.route("/a", Reply(302, {"Location": "b?x=1"}))
    server.route("/b", lambda seen: json_reply(seen.query))
    answer = get(server.url + "/a", {"bearer_token": "tok3n"})
    assert (answer.body, answer.url) == (b'{"x": "1"}', server.url + "/b?x=1")
    assert server.requests[1].headers["authorization"] == "Bearer tok3n"
    server.route("/round", Reply(302, {"Location": "/round"}))
    server.requests.clear()
    with pytest.raises(TransientError, match="redirects"):
        get(server.url + "/round")
    assert len(server.requests) == 10


def test_a_redirect_to_another_host_gets_no_credentials(server: HttpServer) -> None:
    with HttpServer() as stranger:
        stranger.route("/", Reply(401))
        server.route("/", Reply(307, {"Location": stranger.url}))
        account = {"api_key": "k3y", "api_key_query": "key", "headers": {"X-Tenant": "t"}}
        assert get(server.url + "/", account).status == 401
        (seen,) = stranger.requests
    assert seen.query == {}
    assert "x-tenant" not in seen.headers
    assert server.requests[0].query == {"key": "k3y"}


def test_no_cookie_is_kept(server: HttpServer) -> None:
    server.route("/", Reply(200, {"Set-Cookie": "session=1; Path=/"}))
    session = Session(HttpAccount(), server.url, Limits(size=MIB))
    for _ in range(2):
        session.exchange(Call("GET", server.url + "/"))
    session.close()
    assert "cookie" not in server.requests[1].headers


def test_no_log_has_a_secret(server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    server.route("/", Reply(200))
    account = {"api_key": "k3yk3y", "api_key_query": "key", "headers": {"X-Token": "t0ken"}}
    logging.getLogger("httpx").setLevel(logging.NOTSET)
    logging.getLogger("httpcore").setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        get(server.url + "/", account)
    assert "k3yk3y" not in caplog.text
    assert "t0ken" not in caplog.text


def test_tls(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    client = {
        "certificate_file": str(certificates / "client.pem"),
        "key_file": str(certificates / "client.key"),
    }
    trusting = {**client, "ca_file": str(certificates / "ca.pem")}
    with HttpServer(context) as server:
        server.route("/", lambda seen: json_reply(seen.method))
        assert get(server.url + "/", trusting).body == b'"GET"'
        assert get(server.url + "/", {**client, "verify": False}).body == b'"GET"'
        with pytest.raises(FatalError, match=r"not trusted.*ca_file"):
            get(server.url + "/", client)
        with pytest.raises(TransientError, match=r"certificate_file|read"):
            get(server.url + "/", {"ca_file": trusting["ca_file"]})
        with pytest.raises(TransientError):
            get(server.url.replace("https", "http") + "/")

        server.route("/hang", Reply(200, raw=[HANG]))
        session = Session(HttpAccount.model_validate(trusting), server.url, Limits(size=MIB))
        timer = threading.Timer(0.3, session.cancel)
        timer.start()
        with pytest.raises(TransientError, match="cancelled"):
            session.exchange(Call("GET", server.url + "/hang"))
        timer.join()
        session.close()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"ca_file": "/none"}, "ca_file /none"),
        ({"certificate_file": "/none"}, "certificate_file or key_file"),
    ],
)
def test_files_that_cannot_be_used(files: dict[str, str], says: str) -> None:
    with pytest.raises(FatalError, match=says):
        get("https://127.0.0.1/", files)


def test_a_refused_token_is_renewed_once(server: HttpServer) -> None:
    given: list[str] = []

    def token(seen: Seen) -> Reply:
        given.append(secret(f"Token{len(given)}"))
        return json_reply({"access_token": given[-1]})

    server.route("/token", token)
    server.route("/", Reply(401))
    oauth2 = {"token_url": server.url + "/token", "client_id": "a", "client_secret": "b"}
    assert get(server.url + "/", {"oauth2": oauth2}).status == 401
    assert len(given) == 2
    assert [seen.headers["authorization"] for seen in server.seen("/")] == [f"Bearer {token}" for token in given]
