"""What a check says of an API, for account, trigger and sink, and what an item is known by."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowspec.errors import FatalError, TransientError
from flowspec.records import Record, Trace
from sinks.http import Request
from sources.http import HttpAccount, PollEndpoint, checking
from tests.secrets import secret
from tests.servers.http_api import CLIENT_SECRET, Items, TokenServer
from tests.servers.http_server import HANG, HttpServer, Reply, json_reply
from tests.servers.process import server_port

SECRET = secret("Http")


def _account(url: str, **fields: Any) -> str:
    return HttpAccount(base_url=url, **fields).check()


def _sink(url: str, **fields: Any) -> str:
    return Request.model_validate({"url": f"{url}/orders", "account": HttpAccount(**fields)}).check()


def _trigger(url: str, account: dict[str, Any] | None = None, **fields: Any) -> str:
    return PollEndpoint.model_validate({"url": url, "account": HttpAccount(**account or {}), **fields}).check()


@pytest.mark.parametrize("check", [_account, _trigger, _sink])
def test_a_server_that_is_not_reached_is_told_apart(check: Callable[..., str]) -> None:
    with pytest.raises(TransientError, match="the connection is refused: nothing listens at that port"):
        check(f"http://127.0.0.1:{server_port()}")
    with pytest.raises(TransientError, match="the name of the host does not resolve"):
        check("http://nowhere.invalid")


@pytest.mark.parametrize("check", [_account, _sink])
def test_what_is_wrong_with_tls_is_told_apart(
    check: Callable[..., str], certificates: Path, server: HttpServer
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with HttpServer(tls) as secured:
        assert f"{secured.url} is reached with TLSv1.3" in check(secured.url, ca_file=str(certificates / "ca.pem"))
        with pytest.raises(FatalError, match="the server's certificate is not trusted"):
            check(secured.url)
        assert secured.requests == []
    with pytest.raises(TransientError, match="check that this is a port for https"):
        check(server.url.replace("http", "https"))


def test_an_account_is_reached_and_not_asked(server: HttpServer) -> None:
    assert _account(server.url) == f"{server.url} is reached"
    said = _account(server.url, bearer_token=SECRET)
    assert said == f"{server.url} is reached; the credentials were not checked: only a request would do that"
    assert HttpAccount().check() == "nothing to check: it has no base_url"
    assert server.requests == []


def test_a_token_is_fetched(server: HttpServer) -> None:
    tokens = TokenServer(server)
    oauth2 = {"token_url": tokens.url, "client_id": "flow", "client_secret": CLIENT_SECRET}
    assert _account(server.url, oauth2=oauth2) == f"{server.url} is reached; a token was given"
    assert _sink(server.url, base_url=server.url, oauth2=oauth2) == (
        f"{server.url} is reached; a token was given; no request was made"
    )
    assert {seen.path for seen in server.requests} == {"/token"}
    with pytest.raises(FatalError, match="invalid_client: who are you") as caught:
        _account(server.url, oauth2={**oauth2, "client_secret": SECRET})
    assert SECRET not in str(caught.value)


def test_a_sink_that_goes_where_records_say_cannot_be_reached_before() -> None:
    assert Request.model_validate({"url": "{callback}"}).check() == (
        "the host depends on the record, and was not checked; no request was made"
    )


def test_the_first_request_of_a_trigger_is_made(server: HttpServer, items: Items) -> None:
    items.add(*({"id": number, "at": number} for number in range(25)))
    url = f"{items.url}/links"
    page: dict[str, Any] = {"pages": "link_header", "cursor_field": "at"}
    for since in ("beginning", "now"):
        assert _trigger(url, since=since, **page) == f"GET {url} answers, with 10 new items and more"
    assert len(server.requests) == 2, "one each"
    said = _trigger(f"{items.url}/all", key="nothing")
    assert "with 25 new items, of which 25 would be dead letters: key: " in said


def test_an_answer_that_is_wrong_is_told_apart(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{server.url}/orders"
    for status, said in (
        (401, "the credentials are missing or wrong"),
        (403, "the account may not do this"),
        (404, "there is nothing at this path"),
    ):
        server.first("/orders", json_reply({}, status))
        with pytest.raises(FatalError, match=said):
            _trigger(url, {"bearer_token": SECRET, "base_url": server.url})
    server.first("/orders", Reply(503), Reply(200, {"Content-Type": "text/html"}, b"<p>Please log in"))
    with pytest.raises(TransientError, match="503 Service Unavailable"):
        _trigger(url)
    with pytest.raises(TransientError, match=r"the answer is not JSON .* Please log in"):
        _trigger(url)
    monkeypatch.setattr(checking, "_POLL", 0.5)
    server.first("/orders", Reply(200, {}, raw=[b"[", HANG]))
    with pytest.raises(TransientError, match=r"no whole answer within 0\.5 s"):
        _trigger(url)


def test_a_server_that_connects_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(TransientError, match="no connection within"):
        _account(f"https://127.0.0.1:{mute.getsockname()[1]}")


def test_a_proxy_is_reached_in_place_of_the_host(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:{server.port}")
    assert _account("http://api.invalid") == (
        "the proxy of http://api.invalid:80 is reached; what is behind it was not checked"
    )
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:{server_port()}")
    with pytest.raises(TransientError, match="the connection is refused") as caught:
        _account("http://api.invalid")
    assert SECRET not in str(caught.value)


def test_an_item_is_known_by_its_key_and_its_cursor() -> None:
    def identity(body: Any, **fields: Any) -> str | None:
        trigger = PollEndpoint.model_validate({"url": "https://api.example.com/orders", **fields})
        return trigger.identity(Record(b"", {"changed": "by a step"}, trace=Trace(body)))

    item = {"id": "a/1", "at": "2024"}
    assert identity(item) is None
    assert identity(item, cursor_field="at") is None
    assert identity(item, key="id") == '["a/1",null]'
    assert identity(item, key="id", cursor_field="at") == '["a/1","2024"]'
    assert identity({"at": "2024"}, key="id", cursor_field="at") is None
    with_token = {"cursor_token": "next", "query": {"since": "{cursor}"}}
    assert identity(item, key="id", **with_token) is None, "it may be a change of the same item"
