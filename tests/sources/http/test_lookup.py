"""Looking up in an HTTP API, against a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Record
from flowspec.registry import register
from flowspec.steps.enrich import Enrich
from sources.testbed import ReadLines
from sources.testing.flows import PATIENCE, HostedFlow, Output, eventually
from tests.secrets import secret
from tests.servers.http_server import CUT, HttpServer, Reply, Seen, json_reply
from tests.servers.process import server_port

SECRET = secret("Lookup")


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    HostedFlow.kill_all()


def enriching(server: HttpServer, **fields: Any) -> Enrich:
    lookup = {"connector": "http", "url": f"{server.url}/customers/{{quote(id)}}", "into": "found", **fields}
    return Enrich.model_validate({"enrich": lookup})


@contextmanager
def asked(server: HttpServer, **fields: Any) -> Iterator[Any]:
    asker = enriching(server, **fields).build()
    try:
        yield lambda *ids: [
            each.body["found"] if isinstance(each, Record) else each
            for each in asker.ask([Record("", {"id": number}) for number in ids])
        ]
    finally:
        asker.close()


def test_one_get_for_each_key(server: HttpServer) -> None:
    for name in ("a", "b%2Fc"):
        server.route(f"/customers/{name}", lambda seen: json_reply({"path": seen.path}))
    with asked(server) as ask:
        expected = [{"path": "/customers/a"}, {"path": "/customers/b%2Fc"}, {"path": "/customers/a"}]
        assert ask("a", "b/c", "a") == expected
        assert ask("a", "b/c", "a") == expected
    assert sorted(seen.path for seen in server.requests) == ["/customers/a", "/customers/b%2Fc"]
    assert {seen.method for seen in server.requests} == {"GET"}


def test_query_and_headers_are_a_part_of_the_key(server: HttpServer) -> None:
    server.route("/customers", lambda seen: json_reply([seen.query, seen.headers["x-of"]]))
    account = {"base_url": server.url, "bearer_token": SECRET}
    fields = {"url": "/customers", "query": {"id": "{id[0]}", "none": ""}, "headers": {"X-Of": "{id[1]}"}}
    with asked(server, account=account, **fields) as ask:
        assert ask("ab", "ac", "ab") == [[{"id": "a"}, "b"], [{"id": "a"}, "c"], [{"id": "a"}, "b"]]
    assert len(server.requests) == 2
    assert {seen.headers["authorization"] for seen in server.requests} == {f"Bearer {SECRET}"}


def test_what_is_not_there(server: HttpServer) -> None:
    server.route("/customers/gone", Reply(410))
    server.route("/customers/empty", Reply(204))
    with asked(server, missing="null") as ask:
        assert ask("a", "gone", "empty") == [None, None, None]
        assert ask("a", "gone", "empty") == [None, None, None]
    assert len(server.requests) == 3
    with asked(server) as ask:
        (error,) = ask("a")
    assert str(error) == f"there is nothing at {server.url}/customers/a"


def test_answers_that_are_not_json_are_texts(server: HttpServer) -> None:
    replies = {
        "text": Reply(200, {"Content-Type": "text/plain; charset=latin-1"}, "Köln".encode("latin-1")),
        "hal": Reply(200, {"Content-Type": "application/hal+json"}, b'{"a": 1}'),
        "untyped": Reply(200, {}, b"[1]"),
        "nothing": Reply(200, {"Content-Type": "application/json"}, b""),
        "null": json_reply(None),
        "broken": Reply(200, {"Content-Type": "application/json"}, b'{"a"'),
        "odd": Reply(200, {"Content-Type": "text/plain; charset=klingon"}, b"x"),
    }
    for name, reply in replies.items():
        server.route(f"/customers/{name}", reply)
    with asked(server) as ask:
        text, hal, untyped, nothing, null, broken, odd = ask(*replies)
    assert (text, hal, untyped, nothing, null) == ("Köln", {"a": 1}, [1], None, None)
    assert isinstance(broken, RecordError)
    assert f"GET {server.url}/customers/broken: the answer is not the application/json that it should be" in str(broken)
    assert "unknown encoding" in str(odd)


def test_an_answer_that_is_too_large_costs_its_records(server: HttpServer) -> None:
    server.route("/customers/fits", Reply(200, {"Content-Type": "text/plain"}, b"x" * 1000))
    server.route("/customers/large", Reply(200, {"Content-Type": "text/plain"}, b"x" * 1001))
    with asked(server, max_size=1000) as ask:
        fits, large = ask("fits", "large")
    assert len(fits) == 1000
    assert isinstance(large, RecordError)
    assert "more than max_size, 1,000 bytes" in str(large)


def test_what_the_server_refuses_costs_its_records(server: HttpServer) -> None:
    server.route("/customers/a", json_reply(1))
    server.route("/customers/bad", Reply(400, {"Content-Type": "text/plain"}, b"no such form of id"))
    with asked(server) as ask:
        good, bad, odd = ask("a", "bad", "\udc80")
    assert good == 1
    assert isinstance(bad, RecordError)
    assert str(bad) == f"GET {server.url}/customers/bad: 400 Bad Request: no such form of id"
    assert isinstance(odd, RecordError)


def test_credentials_that_are_refused_stop_the_flow(server: HttpServer) -> None:
    server.route("/customers/a", Reply(401, {}, f"bad token {SECRET}".encode()))
    with asked(server, account={"bearer_token": SECRET}) as ask:
        (error,) = ask("a")
    assert isinstance(error, FatalError)
    assert "check the account" in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_is_left_alone(server: HttpServer, status: int) -> None:
    for number in range(20):
        server.route(f"/customers/{number}", json_reply(number))
    server.first("/customers/3", Reply(status, {"Retry-After": "7"}))
    with asked(server, concurrency=1) as ask:
        outcomes = ask(*map(str, range(20)))
        assert outcomes[:3] == [0, 1, 2]
        assert [each.retry_after for each in outcomes[3:]] == [7.0] * 17
        assert len(server.requests) == 4
        assert ask(*map(str, range(20))) == list(range(20))
    assert len(server.requests) == 21


def test_a_request_that_the_server_fails_on_is_made_so_often(server: HttpServer) -> None:
    server.route("/customers/a", Reply(500, {}, b"oops"))
    server.route("/customers/b", json_reply("b"))
    with asked(server, max_attempts=2) as ask:
        first, other = ask("a", "b")
        assert (type(first), other) == (TransientError, "b")
        (second,) = ask("a")
    assert isinstance(second, RecordError)
    assert "500 Internal Server Error: oops" in str(second)


def test_no_more_requests_run_at_the_same_time_than_are_allowed(server: HttpServer) -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4)

    def answer(seen: Seen) -> Reply:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        # Only four at the same time get any further.
        together.wait(PATIENCE)
        with lock:
            running -= 1
        return json_reply(seen.path[-2:])

    names = [f"{number:02}" for number in range(12)]
    for name in names:
        server.route(f"/customers/{name}", answer)
    with asked(server, concurrency=4) as ask:
        assert ask(*names) == names
    assert most == 4


def test_a_connection_that_is_cut_is_trouble_of_the_moment(server: HttpServer) -> None:
    server.route("/customers/a", json_reply(1))
    server.first("/customers/a", Reply(200, {"Content-Length": "9"}, raw=[b"1", CUT]))
    with asked(server) as ask:
        (error,) = ask("a")
        assert isinstance(error, TransientError)
        assert ask("a") == [1]


def test_check_reaches_the_host(server: HttpServer) -> None:
    assert enriching(server).asked.check() == f"{server.url} is reached; no request was made"
    with pytest.raises(TransientError, match="nothing listens"):
        enriching(server, url=f"http://127.0.0.1:{server_port()}/{{id}}").asked.check()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "/customers/{id}"}, "url is only a path"),
        ({"url": "https://user:pass@h/{id}"}, "a URL has no user and password"),
        ({"url": "https://h/{id", "into": "x"}, "a brace is not closed"),
        ({"into": "a..b"}, "should match pattern"),
        ({"missing": "ignore"}, "'fail', 'null' or 'drop'"),
    ],
)
def test_mistakes_are_seen_before_anything_starts(server: HttpServer, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        enriching(server, **fields)


def test_an_api_that_is_down_holds_the_flow(server: HttpServer, tmp_path: Path) -> None:
    register(ReadLines)
    busy = threading.Event()

    def answer(seen: Seen) -> Reply:
        return Reply(503) if busy.is_set() else json_reply({"path": seen.path})

    for number in range(40):
        server.route(f"/customers/{number}", answer)
    source, output = tmp_path / "in.jsonl", Output(tmp_path / "out.jsonl")
    spec = {
        "name": "enriched",
        "trigger": {"connector": "testbed", "path": str(source), "batch_size": 10},
        "steps": [
            {
                "id": "customer",
                "enrich": {"connector": "http", "url": f"{server.url}/customers/{{id}}", "into": "customer"},
            }
        ],
        "sink": {"connector": "files", "action": "append", "path": str(output.path)},
    }
    flow = HostedFlow(tmp_path, spec)
    lines = [json.dumps({"id": number}) + "\n" for number in range(40)]
    source.write_text("".join(lines[:10]))
    with flow.running():
        eventually(lambda: len(output.lines()) == 10, "the first are delivered")
        busy.set()
        with source.open("a") as file:
            file.writelines(lines[10:])
        eventually(lambda: flow.is_down("customer"), "the step is down")
        busy.clear()
        eventually(lambda: len(output.lines()) == 40, "all are delivered")
        assert flow.is_up("customer")

    assert output.lines() == [{"id": number, "customer": {"path": f"/customers/{number}"}} for number in range(40)]
    assert flow.dead_letters() == []


def test_with_a_retry_records_are_set_aside_while_the_api_is_down(server: HttpServer, tmp_path: Path) -> None:
    register(ReadLines)
    server.route("/customers/0", json_reply("zero"))
    server.route("/customers/1", json_reply("one"))
    server.first("/customers/1", Reply(503), Reply(503))
    source, output = tmp_path / "in.jsonl", Output(tmp_path / "out.jsonl")
    source.write_text('{"id": 1}\n{"id": 0}\n')
    lookup = {"connector": "http", "url": f"{server.url}/customers/{{id}}", "into": "name", "cache": None}
    spec = {
        "name": "enriched",
        "trigger": {"connector": "testbed", "path": str(source), "batch_size": 1},
        "steps": [{"enrich": lookup, "on_error": {"retry": {"attempts": 5, "backoff": "50ms"}}}],
        "sink": {"connector": "files", "action": "append", "path": str(output.path)},
    }
    flow = HostedFlow(tmp_path, spec)
    with flow.running():
        eventually(lambda: len(output.lines()) == 2, "both are delivered")
    assert output.lines() == [{"id": 0, "name": "zero"}, {"id": 1, "name": "one"}]
    assert flow.run.tally.retried == 2
