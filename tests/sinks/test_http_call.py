"""Calls of an HTTP API for their answers, against a real server."""

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
from flowspec.steps.call import Call
from sources.testbed import ReadLines
from sources.testing.flows import PATIENCE, HostedFlow, Output, eventually
from tests.secrets import secret
from tests.servers.http_server import HttpServer, Reply, Seen, json_reply
from tests.servers.process import server_port

SECRET = secret("Call")


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    yield
    HostedFlow.kill_all()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        server.route("/scores", lambda seen: json_reply({"of": seen.json(), "method": seen.method}))
        yield server


def calling(server: HttpServer, **fields: Any) -> Call:
    return Call.model_validate({"call": {"connector": "http", "url": f"{server.url}/scores", **fields}})


@contextmanager
def asked(server: HttpServer, **fields: Any) -> Iterator[Any]:
    asker = calling(server, **{"into": "answer", **fields}).build()
    try:
        yield lambda *bodies: asker.ask([each if isinstance(each, Record) else Record("", each) for each in bodies])
    finally:
        asker.close()


def answers(outcomes: Any) -> list[Any]:
    return [each.body["answer"] if isinstance(each, Record) else each for each in outcomes]


def test_each_record_is_a_request_and_its_answer_goes_into_the_body(server: HttpServer) -> None:
    with asked(server) as ask:
        first, second = ask({"id": 1}, {"id": 1})
    assert first.body == second.body == {"id": 1, "answer": {"of": {"id": 1}, "method": "POST"}}
    assert len(server.requests) == 2
    assert server.requests[0].headers["content-type"] == "application/json"


def test_what_is_said_and_how(server: HttpServer) -> None:
    server.route("/orders/a%2Fb", lambda seen: json_reply([seen.method, seen.body.decode()]))
    fields: dict[str, Any] = {
        "account": {"base_url": server.url, "username": "user", "password": SECRET},
        "url": "/orders/{quote(id)}",
        "query": {"n": "{n}", "none": ""},
        "headers": {"X-N": "{n}"},
    }
    record = {"id": "a/b", "n": 2}
    for more, expected in (
        ({"method": "PUT", "body": {"twice": "n * 2", "of": "id"}}, ["PUT", '{"twice":4,"of":"a/b"}']),
        ({"body": "[n, n]"}, ["POST", "[2,2]"]),
        ({"body": "id", "format": "text"}, ["POST", "a/b"]),
        ({"method": "GET"}, ["GET", ""]),
        ({"method": "DELETE", "body": {"n": "n"}}, ["DELETE", '{"n":2}']),
    ):
        with asked(server, **fields, **more) as ask:
            assert answers(ask(record)) == [expected]
    assert all(seen.query == {"n": "2"} and seen.headers["x-n"] == "2" for seen in server.requests)
    assert all(seen.headers["authorization"].startswith("Basic ") for seen in server.requests)
    assert [seen.headers.get("content-type") for seen in server.requests] == [
        "application/json",
        "application/json",
        "text/plain; charset=utf-8",
        None,
        "application/json",
    ]


def test_the_whole_answer(server: HttpServer) -> None:
    server.route("/scores", Reply(409, {"Content-Type": "text/plain", "X-Reason": "twice"}, b"there already"))
    with asked(server, whole=True, accept=[409]) as ask:
        (answer,) = answers(ask({"id": 1}))
    assert (answer["status"], answer["body"], answer["headers"]["x-reason"]) == (409, "there already", "twice")


def test_without_a_field_for_it_the_body_stays(server: HttpServer) -> None:
    server.route("/scores", Reply(200, {"Content-Type": "application/json"}, b"not JSON"))
    with asked(server, into=None) as ask:
        (record,) = ask({"id": 1})
    assert record.body == {"id": 1}


def test_records_that_cannot_make_a_request_make_none(server: HttpServer) -> None:
    with asked(server, body={"n": "n"}, into="a.b") as ask:
        no_field, no_room, good = ask({"a": {}}, {"n": 1, "a": 7}, {"n": 2})
    assert isinstance(no_field, RecordError)
    assert isinstance(no_room, RecordError)
    assert good.body == {"n": 2, "a": {"b": {"of": {"n": 2}, "method": "POST"}}}
    assert [seen.json() for seen in server.requests] == [{"n": 2}]


def test_a_request_that_is_made_again_can_be_known(server: HttpServer) -> None:
    known = Record("", {"id": 1}, external_id="order-1")
    with asked(server) as ask:
        assert len(answers(ask(known, {"id": 1}, {"id": 1}, {"id": 2}))) == 4
    keys = [seen.headers["idempotency-key"] for seen in server.requests]
    assert keys[0] == "order-1"
    assert keys[1] == keys[2] != keys[3]

    with asked(server, idempotency_key="{id}-v1", idempotency_header="X-Request-Id") as ask:
        ask({"id": 7})
    assert server.requests[-1].headers["x-request-id"] == "7-v1"
    with asked(server, idempotency_header=None) as ask:
        ask({"id": 7})
    assert "idempotency-key" not in server.requests[-1].headers


def test_what_the_server_refuses_is_a_dead_letter_with_its_text(server: HttpServer) -> None:
    server.route("/scores/1", json_reply({"error": "no such customer"}, 422))
    server.route("/scores/2", json_reply(2))
    with asked(server, url=f"{server.url}/scores/{{id}}") as ask:
        refused, good, absent = answers(ask({"id": 1}, {"id": 2}, {"id": 3}))
    assert isinstance(refused, RecordError)
    assert str(refused) == (f'POST {server.url}/scores/1: 422 Unprocessable Entity: {{"error": "no such customer"}}')
    assert good == 2
    assert isinstance(absent, RecordError)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_every_record_would_get_stops_the_flow(server: HttpServer, status: int) -> None:
    server.route("/scores", Reply(status, {}, SECRET.encode()))
    with asked(server, account={"api_key": SECRET}) as ask:
        first, second = ask({"id": 1}, {"id": 2})
    assert isinstance(first, FatalError)
    assert second is first
    assert SECRET not in str(first)
    assert len(server.requests) == 1


def test_a_redirect_that_would_lose_the_record_is_an_error(server: HttpServer) -> None:
    server.route("/scores", Reply(303, {"Location": "/elsewhere"}))
    with asked(server) as ask:
        (error,) = ask({"id": 1})
    assert isinstance(error, FatalError)
    assert "it leads to" in str(error)


def test_records_keep_their_order_and_few_are_under_way(server: HttpServer) -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(5)

    def answer(seen: Seen) -> Reply:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(PATIENCE)
        with lock:
            running -= 1
        return json_reply(seen.json()["id"])

    server.route("/scores", answer)
    with asked(server, concurrency=5) as ask:
        outcomes = ask(*({"id": number} for number in range(20)))
    assert answers(outcomes) == list(range(20))
    assert [each.body["id"] for each in outcomes] == list(range(20))
    assert most == 5


def test_with_a_concurrency_of_one_requests_are_made_in_order(server: HttpServer) -> None:
    with asked(server) as ask:
        ask(*({"id": number} for number in range(20)))
    assert [seen.json()["id"] for seen in server.requests] == list(range(20))
    assert len({seen.connection for seen in server.requests}) == 1


def test_a_server_that_cannot_be_reached_is_trouble_of_the_moment(server: HttpServer) -> None:
    with asked(server, url=f"http://127.0.0.1:{server_port()}/scores") as ask:
        first, second = ask({"id": 1}, {"id": 2})
    assert isinstance(first, TransientError)
    assert second is first


def test_a_request_that_the_server_fails_on_is_made_so_often(server: HttpServer) -> None:
    server.route("/scores", lambda seen: Reply(500) if seen.json()["id"] == 1 else json_reply("fine"))
    with asked(server, max_attempts=2) as ask:
        first, other = answers(ask({"id": 1}, {"id": 2}))
        assert (type(first), other) == (TransientError, "fine")
        (second,) = ask({"id": 1})
    assert isinstance(second, RecordError)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "/scores"}, "url is only a path"),
        ({"whole": True}, "give 'into'"),
        ({"body": {"a": "b +"}}, "cannot be read"),
        ({"accept": [200]}, "greater than or equal to 300"),
        ({"connector": "sql"}, "step 'call' cannot ask a connector 'sql'"),
    ],
)
def test_mistakes_are_seen_before_anything_starts(server: HttpServer, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        calling(server, **fields)


def test_check_reaches_the_host_and_makes_no_request(server: HttpServer) -> None:
    assert calling(server).asked.check() == f"{server.url} is reached; no request was made"
    assert server.requests == []


def test_an_api_that_is_down_holds_the_flow_and_no_call_is_repeated(server: HttpServer, tmp_path: Path) -> None:
    register(ReadLines)
    busy = threading.Event()

    def answer(seen: Seen) -> Reply:
        return Reply(503) if busy.is_set() and seen.json()["id"] >= 15 else json_reply(seen.json()["id"] * 2)

    server.route("/scores", answer)
    source, output = tmp_path / "in.jsonl", Output(tmp_path / "out.jsonl")
    spec = {
        "name": "scored",
        "trigger": {"connector": "testbed", "path": str(source), "batch_size": 20},
        "steps": [{"id": "score", "call": {"connector": "http", "url": f"{server.url}/scores", "into": "score"}}],
        "sink": {"connector": "files", "action": "append", "path": str(output.path)},
    }
    flow = HostedFlow(tmp_path, spec)
    busy.set()
    source.write_text("".join(json.dumps({"id": number}) + "\n" for number in range(40)))
    with flow.running():
        eventually(lambda: flow.is_down("score"), "the step is down")
        assert output.lines() == []
        busy.clear()
        eventually(lambda: len(output.lines()) == 40, "all are delivered")

    assert output.lines() == [{"id": number, "score": number * 2} for number in range(40)]
    assert flow.dead_letters() == []
    made = [seen.json()["id"] for seen in server.requests]
    assert all(made.count(number) == 1 for number in (*range(15), *range(16, 40)))
