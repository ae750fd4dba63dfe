"""The sink by itself, against a real HTTP server."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.connectors import Writer
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Record
from sinks.http import Request
from sources.http import HttpAccount
from tests.secrets import secret
from tests.servers.http_api import CLIENT_SECRET, TokenServer
from tests.servers.http_server import CUT, HttpServer, Reply, Seen, json_reply
from tests.servers.process import server_port
from tests.sinks.ends import open_writer, records

TAKEN = Reply(201)
SECRET = secret("Http")


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        server.route("/orders", TAKEN)
        yield server


def writer(server: HttpServer, account: dict[str, Any] | None = None, **fields: Any) -> Writer:
    fields = {"url": f"{server.url}/orders", "account": HttpAccount(**account) if account else None, **fields}
    return open_writer(Request.model_validate(fields))


def failed(failures: Any) -> list[tuple[Any, type[Exception]]]:
    """The ids of what failed, and how."""
    return [(failure.record.body["id"], type(failure.error)) for failure in failures]


def numbered(count: int, **more: Any) -> list[Record]:
    return records(*({"id": number, **more} for number in range(count)))


def test_every_record_is_a_request(server: HttpServer) -> None:
    server.route("/orders/a%2Fb", TAKEN)
    sink = writer(
        server,
        {"base_url": server.url, "username": "user", "password": SECRET, "headers": {"X-Tenant": "shop"}},
        method="PUT",
        url="/orders/{quote(id)}",
        query={"customer": "{customer}", "none": ""},
        headers={"X-Order": "Order {id} é", "X-None": ""},
    )

    assert list(sink.write(records({"id": "a/b", "customer": "M & Söhne"}))) == []
    sink.close()

    (seen,) = server.requests
    assert (seen.method, seen.path) == ("PUT", "/orders/a%2Fb")
    assert seen.query == {"customer": "M & Söhne"}
    assert seen.json() == {"id": "a/b", "customer": "M & Söhne"}
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-order"] == "Order a/b é"
    assert "x-none" not in seen.headers
    assert seen.headers["authorization"] == "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert seen.headers["x-tenant"] == "shop"


def test_bodies_and_formats(server: HttpServer) -> None:
    for fields in (
        {"body": "{to_json({'text': 'Order ' + str(id)})}"},
        {"format": "text", "body": "Order {id}"},
        {"method": "DELETE"},
        {"method": "DELETE", "body": "{id}", "headers": {"Content-Type": "text/x-id"}},
    ):
        sink = writer(server, **fields)
        assert list(sink.write(numbered(1))) == []
        sink.close()

    bodies = [(seen.body, seen.headers.get("content-type")) for seen in server.requests]
    assert bodies == [
        (b'{"text":"Order 0"}', "application/json"),
        (b"Order 0", "text/plain; charset=utf-8"),
        (b"", None),
        (b"0", "text/x-id"),
    ]


def test_one_connection_serves_all(server: HttpServer) -> None:
    sink = writer(server)
    assert list(sink.write(numbered(50))) == []
    assert list(sink.write(numbered(50))) == []
    sink.close()
    assert len({seen.connection for seen in server.requests}) == 1


def test_a_request_that_is_made_again_can_be_known(server: HttpServer) -> None:
    known = Record("raw", {"id": 1}, external_id="order-1")
    odd = Record("raw", {"id": 1}, external_id="Bestellung Ä\n")
    sink = writer(server)
    for record in (known, known, odd, odd, *records({"id": 1}, {"id": 1}, {"id": 2})):
        assert list(sink.write([record])) == []
    sink.close()

    keys = [seen.headers["idempotency-key"] for seen in server.requests]
    assert keys[:2] == ["order-1", "order-1"]
    assert keys[2] == keys[3] != keys[4]
    assert keys[4] == keys[5] != keys[6]

    sink = writer(server, idempotency_header="X-Request-Id", idempotency_key="{id}-{version}")
    assert list(sink.write(records({"id": 1, "version": 2}))) == []
    sink.close()
    assert server.requests[-1].headers["x-request-id"] == "1-2"
    assert "idempotency-key" not in server.requests[-1].headers


def test_what_the_server_refuses_is_named_with_its_answer_and_the_others_go_on(server: HttpServer) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.json()["id"] != 2:
            return TAKEN
        return json_reply({"error": "total < 0", "you_sent": seen.headers["authorization"], "pad": "x" * 1000}, 422)

    server.route("/orders", answer)
    sink = writer(server, {"bearer_token": SECRET})
    (failure,) = sink.write(numbered(5))
    sink.close()

    assert isinstance(failure.error, RecordError)
    assert failure.record.body == {"id": 2}
    text = str(failure.error)
    assert "POST http://127.0.0.1" in text
    assert "422" in text
    assert "total < 0" in text
    assert SECRET not in text
    assert len(text) < 700
    assert len(server.requests) == 5


def test_what_cannot_be_a_request_is_named(server: HttpServer) -> None:
    sink = writer(server, headers={"X-Name": "{name}"}, url=server.url + "/orders?{name}")
    odd = records({"name": "a\r\nX-Evil: 1"}, {"name": "\x00"}, {"name": "fine"}, {"other": 1}, {"name": "\ud800"})
    failures = sink.write(odd)
    sink.close()
    assert len(server.requests) == 1
    assert all(isinstance(failure.error, RecordError) for failure in failures)
    assert sorted(odd.index(failure.record) for failure in failures) == [0, 1, 3, 4]


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_a_server_that_is_away_is_left_alone(server: HttpServer, status: int) -> None:
    sink = writer(server)
    server.first("/orders", TAKEN, Reply(status, {"Retry-After": "7"}, b"later"))

    failures = sink.write(numbered(5))

    assert failed(failures) == [(number, TransientError) for number in (1, 2, 3, 4)]
    assert len(server.requests) == 2, "nobody storms a server that is away"
    error = failures[0].error
    assert isinstance(error, TransientError)
    assert error.retry_after == 7
    assert "later" in str(error)
    assert list(sink.write([failure.record for failure in failures])) == []
    sink.close()
    assert [seen.json()["id"] for seen in server.requests] == [0, 1, 1, 2, 3, 4]


def test_a_server_that_cannot_be_reached_is_tried_once_a_batch(server: HttpServer) -> None:
    sink = writer(server, url=f"http://127.0.0.1:{server_port()}/orders")
    failures = sink.write(numbered(5))
    sink.close()
    assert failed(failures) == [(number, TransientError) for number in range(5)]
    assert "refused" in str(failures[0].error)


def test_a_connection_that_breaks_during_the_answer_is_no_delivery(server: HttpServer) -> None:
    sink = writer(server)
    lied = Reply(201, {"Content-Length": "1000"}, raw=[b"too short"])
    server.first("/orders", Reply(201, {"Content-Length": "10"}, raw=[b"abc", CUT]), lied)
    for _ in range(2):
        assert failed(sink.write(numbered(1))) == [(0, TransientError)]
    assert list(sink.write(numbered(1))) == []
    sink.close()


def test_a_long_answer_is_not_read_to_its_end(server: HttpServer) -> None:
    endless = Reply(
        201, {"Transfer-Encoding": "chunked"}, raw=(b"8000\r\n" + b"x" * 32768 + b"\r\n" for _ in range(10**6))
    )
    server.first("/orders", endless, Reply(422, body=b"y" * 10_000_000))
    sink = writer(server)
    assert failed(sink.write(numbered(2))) == [(1, RecordError)]
    sink.close()


def test_a_slow_answer_ends_in_time(server: HttpServer) -> None:
    server.first("/orders", Reply(201, {"Content-Length": "1000"}, raw=[b"x"] * 1000, pause=0.1))
    sink = writer(server, timeout=0.5)
    (failure,) = sink.write(numbered(1))
    sink.close()
    assert isinstance(failure.error, TransientError)
    assert "in time" in str(failure.error)


def test_an_error_of_the_server_holds_up_only_what_must_not_overtake(server: HttpServer) -> None:
    server.route("/orders", lambda seen: Reply(500) if seen.json()["id"] == 1 else TAKEN)
    sink = writer(server, order_key="{group}")
    batch = records(*({"id": number, "group": "ab"[number % 2]} for number in range(6)))

    failures = sink.write(batch)

    assert failed(failures) == [(number, TransientError) for number in (1, 3, 5)]
    server.route("/orders", TAKEN)
    assert list(sink.write([failure.record for failure in failures])) == []
    sink.close()
    assert [seen.json()["id"] for seen in server.requests] == [0, 1, 2, 4, 1, 3, 5]


def test_a_record_that_makes_the_server_fail_is_given_up_where_that_is_asked_for(server: HttpServer) -> None:
    server.route("/orders", lambda seen: Reply(500, body=b"bug") if seen.json()["id"] == 1 else TAKEN)
    sink = writer(server, max_attempts=3)
    batch = numbered(3)
    for _ in range(2):
        failures = sink.write(batch)
        assert failed(failures) == [(1, TransientError)]
        batch = [failure.record for failure in failures]
    (failure,) = sink.write(batch)
    sink.close()
    assert isinstance(failure.error, RecordError)
    assert "bug" in str(failure.error)


def test_parallel_requests_keep_the_order_of_each_key(server: HttpServer) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def answer(seen: Seen) -> Reply:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        return TAKEN

    server.route("/orders", answer)
    sink = writer(server, parallel=4, order_key="{group}")
    batch = records(*({"id": number, "group": number % 7} for number in range(70)))
    assert list(sink.write(batch)) == []
    sink.close()

    assert 1 < most <= 4
    for group in range(7):
        ids = [seen.json()["id"] for seen in server.requests if seen.json()["group"] == group]
        assert ids == list(range(group, 70, 7))


def test_a_batch_is_an_array(server: HttpServer) -> None:
    sink = writer(server, batch="array", max_items=4, headers={"X-Kind": "{kind}"})
    batch = [*numbered(10, kind="a"), *numbered(2, kind="b")]
    assert list(sink.write(batch)) == []
    sink.close()
    sizes = [(seen.headers["x-kind"], len(seen.json())) for seen in server.requests]
    assert sizes == [("a", 4), ("a", 4), ("a", 2), ("b", 2)]
    assert len({seen.headers["idempotency-key"] for seen in server.requests}) == 4


def test_of_a_refused_array_only_what_is_to_blame_is_given_up(server: HttpServer) -> None:
    taken: list[int] = []

    def answer(seen: Seen) -> Reply:
        ids = [item["id"] for item in seen.json()]
        if {5, 13} & set(ids):
            return Reply(400, body=b"bad item")
        taken.extend(ids)
        return TAKEN

    server.route("/orders", answer)
    sink = writer(server, batch="array", max_items=100)
    failures = sink.write(numbered(32))
    sink.close()
    assert failed(failures) == [(5, RecordError), (13, RecordError)]
    assert taken == [number for number in range(32) if number not in (5, 13)]
    assert len(server.requests) <= 2 * 2 * 6


def test_an_array_that_breaks_the_server_waits_as_a_whole_and_is_taken_apart_in_the_end(server: HttpServer) -> None:
    server.route("/orders", lambda seen: Reply(500) if any(item["id"] == 2 for item in seen.json()) else TAKEN)
    sink = writer(server, batch="array", max_attempts=2)
    batch = numbered(4)
    assert failed(sink.write(batch)) == [(number, TransientError) for number in range(4)]
    assert failed(sink.write(batch)) == [(2, RecordError)]
    sink.close()


@pytest.mark.parametrize(
    ("status", "account", "fields", "says"),
    [
        (401, {"bearer_token": SECRET}, {}, "credentials are missing or wrong"),
        (401, None, {}, "credentials are missing or wrong"),
        (403, {"bearer_token": SECRET}, {}, "may not do this"),
        (404, None, {}, "/orders"),
        (405, None, {}, "405"),
        (302, None, {}, "leads to http://elsewhere.example/login"),
        (307, None, {}, "leads to http://elsewhere.example/login"),
    ],
)
def test_what_every_record_would_get_stops_the_flow(
    server: HttpServer, status: int, account: dict[str, Any] | None, fields: dict[str, Any], says: str
) -> None:
    server.route("/orders", Reply(status, {"Location": "http://elsewhere.example/login?token=abc"}, b"<b>no</b>"))
    sink = writer(server, account, **fields)
    with pytest.raises(FatalError) as raised:
        sink.write(numbered(3))
    sink.close()
    assert says in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "abc" not in str(raised.value)
    assert len(server.requests) == 1


def test_a_place_that_only_one_record_lacks_is_no_reason_to_stop(server: HttpServer) -> None:
    sink = writer(server, {"bearer_token": SECRET}, url=server.url + "/{path}")
    server.route("/denied", Reply(403))
    failures = sink.write(records({"path": "orders"}, {"path": "none"}, {"path": "denied"}))
    sink.close()
    assert [type(failure.error) for failure in failures] == [RecordError, RecordError]


def test_a_redirect_is_followed_with_the_record_on_the_same_host(server: HttpServer) -> None:
    server.route("/old", Reply(308, {"Location": "/orders"}))
    sink = writer(server, {"bearer_token": SECRET}, url=server.url + "/old")
    assert list(sink.write(numbered(1))) == []
    sink.close()
    assert [seen.path for seen in server.requests] == ["/old", "/orders"]
    assert server.requests[1].json() == {"id": 0}
    assert server.requests[1].headers["authorization"] == f"Bearer {SECRET}"


def test_a_host_that_a_record_names_gets_no_credentials(server: HttpServer) -> None:
    with HttpServer() as stranger:
        stranger.route("/hook", TAKEN)
        sink = writer(server, {"base_url": server.url, "bearer_token": SECRET}, url="{callback}")
        hooks = records({"callback": stranger.url + "/hook"}, {"callback": server.url + "/orders"})
        assert list(sink.write(hooks)) == []
        sink.close()
        assert "authorization" not in stranger.requests[0].headers
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_a_token_is_shared_and_renewed(server: HttpServer) -> None:
    tokens = TokenServer(server)
    server.route("/orders", tokens.protected(TAKEN))
    oauth2 = {"token_url": tokens.url, "client_id": "flow", "client_secret": CLIENT_SECRET}
    sink = writer(server, {"oauth2": oauth2}, parallel=4)
    assert list(sink.write(numbered(20))) == []
    assert len(server.seen("/token")) == 1
    tokens.good.clear()
    assert list(sink.write(numbered(1))) == []
    sink.close()
    assert len(server.seen("/token")) == 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "/orders"}, "only a path"),
        ({"url": "https://user:pw@api.example.com/"}, "give the account 'username'"),
        ({"url": "ftp://api.example.com/"}, "https://"),
        ({"url": "{callback}", "account": {"bearer_token": "x"}}, "known beforehand"),
        ({"url": "https://api.example.com{path}", "account": {"bearer_token": "x"}}, "known beforehand"),
        (
            {"url": "https://b.example.com/", "account": {"base_url": "https://a.example.com", "bearer_token": "x"}},
            "trusted_hosts",
        ),
        ({"url": "https://a.b/", "batch": "array", "format": "text"}, "leave format"),
        ({"url": "https://a.b/", "batch": "array", "method": "GET"}, "needs a method"),
        ({"url": "https://a.b/", "headers": {"X Y": "1"}}, "pattern"),
    ],
)
def test_what_cannot_work_is_refused_when_the_spec_is_loaded(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Request.model_validate(fields)
    assert says in str(raised.value)
    assert "pw" not in str(raised.value)


def test_json_lines_of_records_are_json(server: HttpServer) -> None:
    """What JSON does not have is a dead letter, and its neighbours of the same array are sent."""
    sink = writer(server, batch="array")
    failures = sink.write(records({"id": 1}, {"id": 10**30}, {"id": 3}))
    sink.close()
    assert [type(failure.error) for failure in failures] == [RecordError]
    assert json.loads(server.requests[0].body) == [{"id": 1}, {"id": 3}]
