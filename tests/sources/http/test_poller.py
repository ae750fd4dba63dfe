"""What polls find: all items once, whatever the API does."""

from __future__ import annotations

import random
from typing import Any

import pytest

from flowspec.errors import FatalError, RecordError, TransientError
from tests.secrets import secret
from tests.servers.http_api import CLIENT_SECRET, Items, TokenServer
from tests.servers.http_server import CUT, HttpServer, Reply, Seen, json_reply
from tests.sources.http.pollers import Polling

API_KEY = secret("ApiKey")

PAGED: dict[str, dict[str, Any]] = {
    "links": {"pages": "link_header"},
    "next": {"pages": {"next_url": "paging.next"}, "items": "data"},
    "tokens": {"pages": {"token": "next_token", "query": "token"}, "items": "data.items"},
    "numbers": {"pages": {"page": "page"}, "items": "items"},
    "offsets": {"pages": {"offset": "offset", "size": 10}, "items": "items"},
}
BY_FIELD: dict[str, Any] = {"cursor_field": "at", "key": "id"}


def item(number: int, at: Any = None) -> dict[str, Any]:
    return {"id": number, "at": number if at is None else at}


@pytest.mark.parametrize("how", PAGED)
@pytest.mark.parametrize("cursor", [BY_FIELD, {}], ids=["by field", "by memory"])
@pytest.mark.parametrize("order", ["newest first", "oldest first"])
def test_every_item_comes_once_however_the_list_is_paged(
    items: Items, server: HttpServer, how: str, cursor: dict[str, Any], order: str
) -> None:
    items.order = order
    items.add(*map(item, range(35)))
    with Polling(f"{items.url}/{how}", **PAGED[how], **cursor) as polling:
        assert sorted(polling.ids()) == list(range(35))
        assert polling.ids() == []
        items.add(*map(item, range(35, 52)))
        assert sorted(polling.ids()) == list(range(35, 52))
        assert polling.ids() == []
    pages = 4 + 4 + 6 + 6 + (4 if how == "numbers" else 0)
    assert len(server.requests) == pages, "no request more than there are pages"


@pytest.mark.parametrize("how", PAGED)
@pytest.mark.parametrize("cursor", [BY_FIELD, {}], ids=["by field", "by memory"])
@pytest.mark.parametrize("most", [500, 3])
def test_a_crash_loses_and_repeats_nothing_that_was_saved(
    items: Items, how: str, cursor: dict[str, Any], most: int
) -> None:
    """With the newest first, a crash after each page, and in the middle of pages, while new items come."""
    items.add(*map(item, range(30)))
    chance = random.Random(1)
    delivered: list[int] = []
    with Polling(f"{items.url}/{how}", most=most, **PAGED[how], **cursor) as polling:
        saved, count, quiet = None, 30, 0
        while quiet < 20:
            page = polling.page()
            quiet = 0 if page.records else quiet + 1
            records = list(page.records)
            if len(records) > 1 and page.part is not None and chance.random() < 0.5:
                some = chance.randrange(1, len(records))
                delivered += [record.body["id"] for record in records[:some]]
                saved = page.part(some)
                polling.crash(saved)
                continue
            delivered += [record.body["id"] for record in records]
            saved = page.cursor
            if count < 60:
                items.add(item(count))
                count += 1
            if chance.random() < 0.3:
                polling.crash(saved)
    assert sorted(delivered) == list(range(count))


def test_a_page_that_was_not_delivered_comes_again(items: Items) -> None:
    items.add(*map(item, range(25)))
    with Polling(f"{items.url}/links", **PAGED["links"], **BY_FIELD) as polling:
        first = polling.page()
        polling.page()
        polling.crash(first.cursor)
        assert sorted(polling.ids()) == list(range(15))
        polling.crash(None)
        assert sorted(polling.ids()) == list(range(25))


def test_a_page_that_has_expired_has_the_walk_begin_anew_with_nothing_lost_or_repeated(
    items: Items, server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    items.add(*map(item, range(25)))
    with Polling(f"{items.url}/links", **PAGED["links"], **BY_FIELD) as polling:
        first = polling.page()
        items.add(*map(item, range(25, 30)))
        polling.crash(first.cursor)
        expired = Reply(410, body=b"token expired")
        server.first("/items/links", expired, Reply(503), expired)
        with pytest.raises(TransientError):
            polling.page()
        ids = [*(record.body["id"] for record in first.records), *polling.ids()]
        assert sorted(ids) == list(range(30))
        assert "token expired" in caplog.text
        assert polling.ids() == []


def test_a_page_that_is_always_gone_stops_the_flow(items: Items, server: HttpServer) -> None:
    items.add(*map(item, range(25)))
    server.route("/list", lambda seen: Reply(404) if seen.query else items._links(seen))
    items.url = server.url
    server.route("/links", Reply(404))
    with Polling(f"{server.url}/list", **PAGED["links"], **BY_FIELD) as polling, pytest.raises(FatalError):
        polling.records()
    assert len(server.requests) <= 5


def test_items_with_the_same_cursor_are_neither_missed_nor_repeated(items: Items) -> None:
    """Their number grows while polls see some of them; the order changes each time."""
    items.order = "shuffled"
    with Polling(f"{items.url}/all", **BY_FIELD) as polling:
        delivered: list[int] = []
        for number in range(60):
            items.add(item(number, at=f"2024-01-31T10:00:{number // 10:02}Z"))
            if number % 3 == 0:
                delivered += polling.ids()
        delivered += polling.ids()
        polling.crash(polling.cursor)
        assert polling.ids() == []
    assert sorted(delivered) == list(range(60))


def test_the_last_item_may_be_deleted(items: Items) -> None:
    items.add(*map(item, range(5)))
    with Polling(f"{items.url}/all", **BY_FIELD) as polling:
        assert sorted(polling.ids()) == list(range(5))
        items.remove(4)
        assert polling.ids() == []
        items.add(item(5))
        assert polling.ids() == [5]


def test_an_item_that_changes_comes_again(items: Items) -> None:
    items.add(item(1, at=10), item(2, at=20))
    with Polling(f"{items.url}/all", **BY_FIELD) as polling:
        assert sorted(polling.ids()) == [1, 2]
        items.remove(1)
        items.add(item(1, at=21))
        assert polling.ids() == [1]


def test_times_are_compared_as_times(items: Items) -> None:
    items.add(item(1, at="2024-01-31T10:00:00Z"))
    with Polling(f"{items.url}/all", **BY_FIELD) as polling:
        assert polling.ids() == [1]
        items.add(item(2, at="2024-01-31T10:00:00.5Z"), item(3, at="2024-01-31T09:59:59Z"))
        assert polling.ids() == [2]
        items.add(item(4, at="2024-01-31T12:00:00+01:00"), item(5, at="2024-01-31T10:30:00+01:00"))
        assert polling.ids() == [4]


def test_the_api_is_told_the_cursor_and_asked_again_while_it_has_more(items: Items, server: HttpServer) -> None:
    """An API that has at most ten items from the cursor on, the oldest first."""
    items.order, items.since = "oldest first", "since"
    server.route("/some", lambda seen: json_reply(items._listed(seen)[:10]))
    items.add(*(item(number, at=f"2024-01-01T00:{number:02}:00Z") for number in range(35)))
    with Polling(f"{server.url}/some", query={"since": "{cursor}", "until": "{now}"}, **BY_FIELD) as polling:
        assert polling.ids() == list(range(35))
        assert polling.ids() == []
    sinces = [seen.query.get("since") for seen in server.requests]
    assert sinces[0] is None
    assert sinces[1] == "2024-01-01T00:09:00Z"
    assert len(sinces) == 6, "four that bring something, and one after each time that nothing is left"


def test_since_now_and_since_a_value(items: Items) -> None:
    items.add(*map(item, range(25)))
    for cursor in (BY_FIELD, {}):
        with Polling(f"{items.url}/links", since="now", **PAGED["links"], **cursor) as polling:
            assert polling.ids() == []
            items.add(item(100 + len(cursor)))
            assert polling.ids() == [100 + len(cursor)]
    with Polling(f"{items.url}/links", since=20, **PAGED["links"], **BY_FIELD) as polling:
        assert sorted(polling.ids()) == [21, 22, 23, 24, 100, 100 + len(BY_FIELD)]
        assert polling.ids() == []


@pytest.mark.parametrize("cursor", [BY_FIELD, {}], ids=["by field", "by memory"])
def test_newest_first_ends_at_what_is_known(items: Items, server: HttpServer, cursor: dict[str, Any]) -> None:
    items.add(*map(item, range(100)))
    with Polling(f"{items.url}/links", newest_first=True, **PAGED["links"], **cursor) as polling:
        assert sorted(polling.ids()) == list(range(100))
        assert len(server.requests) == 10
        items.add(*map(item, range(100, 112)))
        assert sorted(polling.ids()) == list(range(100, 112))
        assert len(server.requests) == (12 if cursor else 13)
        for _ in range(3):
            assert polling.ids() == []
    assert len(server.requests) == (15 if cursor else 16)


def test_what_has_not_changed_is_not_sent(items: Items, server: HttpServer) -> None:
    items.add(*map(item, range(5)))
    with Polling(f"{items.url}/all") as polling:
        assert len(polling.ids()) == 5
        cursor = polling.cursor
        for _ in range(3):
            assert polling.ids() == []
            assert polling.cursor is cursor
        items.add(item(5))
        assert polling.ids() == [5]
        assert polling.ids() == []
    asked = [seen.headers.get("if-none-match") for seen in server.requests]
    assert asked[0] is None
    assert asked[1] == asked[2] == asked[3] == asked[4] != asked[5]


def test_last_modified(server: HttpServer) -> None:
    then = "Wed, 31 Jan 2024 10:00:00 GMT"

    def answer(seen: Seen) -> Reply:
        if seen.headers.get("if-modified-since") == then:
            return Reply(304)
        return json_reply([item(1)], Last_Modified=then)

    server.route("/list", answer)
    with Polling(f"{server.url}/list") as polling:
        assert polling.ids() == [1]
        assert polling.ids() == []


def test_an_answer_that_was_not_delivered_is_asked_for_as_a_whole(items: Items, server: HttpServer) -> None:
    items.add(*map(item, range(5)))
    with Polling(f"{items.url}/all", most=2) as polling:
        first = polling.page()
        assert len(polling.ids()) == 3
        polling.crash(first.cursor)
        assert len(polling.ids()) == 3
    assert "if-none-match" not in server.requests[1].headers


def test_the_latest_items_of_an_api_come_once(server: HttpServer) -> None:
    shown: list[dict[str, Any]] = []
    server.route("/latest", lambda _: json_reply(shown[-10:][::-1]))
    delivered: list[int] = []
    with Polling(f"{server.url}/latest", remember=20) as polling:
        for number in range(0, 300, 7):
            shown.extend(item(each) for each in range(number, number + 7))
            delivered += polling.ids()
            delivered += polling.ids()
        assert len(polling.cursor["seen"]) == 20
    assert sorted(delivered) == list(range(301))


def test_by_token(server: HttpServer) -> None:
    """An API in the manner of a change feed."""
    changes = list(range(25))

    def answer(seen: Seen) -> Reply:
        after = int(seen.query.get("after", 0))
        page = changes[after : after + 10]
        return json_reply({"changes": [item(each) for each in page], "last_seq": after + len(page)})

    server.route("/changes", answer)
    fields: dict[str, Any] = {"items": "changes", "cursor_token": "last_seq", "query": {"after": "{cursor}"}}
    with Polling(f"{server.url}/changes", most=4, **fields) as polling:
        page = polling.page()
        assert page.part is not None
        polling.crash(page.part(3))
        assert polling.ids() == list(range(3, 25))
        assert polling.ids() == []
        changes.append(25)
        assert polling.ids() == [25]
    with Polling(f"{server.url}/changes", since=20, **fields) as polling:
        assert polling.ids() == list(range(20, 26))


def test_lines_and_rows(server: HttpServer) -> None:
    server.route("/lines", Reply(200, body=b'{"id": 1}\nnot JSON\n{"id": 2}\n'))
    with Polling(f"{server.url}/lines", format="json-lines") as polling:
        first, bad, last = polling.records()
        assert (first.raw, first.body, last.body) == (b'{"id": 1}', {"id": 1}, {"id": 2})
        assert isinstance(bad.body, RecordError)
        assert bad.raw == b"not JSON"
        assert polling.records() == []
    server.route("/rows", Reply(200, body=b"id;name\r\n1;a\r\n2;b\r\n"))
    with Polling(f"{server.url}/rows", format={"csv": {"delimiter": ";"}}, cursor_field="int(id)") as polling:
        assert [record.body for record in polling.records()] == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]


def test_metadata(server: HttpServer) -> None:
    server.route("/list", json_reply([item(1), item(2)], ETag='"v1"'))
    with Polling(f"{server.url}/list?secret=1", key="id") as polling:
        _, second = polling.records()
    assert second.raw == b'{"id":2,"at":2}'
    assert second.key == 2
    assert second.meta.pop("received_at").tzinfo is not None
    url = f"{server.url}/list"
    assert second.meta == {"url": url, "status": 200, "page": 1, "item": 2, "etag": '"v1"'}


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(200, {"Content-Type": "text/html"}, b"<html><title>Login</title></html>"), "not JSON"),
        (Reply(200, body=b""), "not JSON"),
        (json_reply({"error": "too many requests"}), "missing field 'data'"),
        (json_reply({"data": "none"}), "not a list"),
        (Reply(302), "302"),
        (Reply(500, body=b"oops"), "oops"),
        (Reply(200, {"Content-Length": "1000"}, raw=[b'{"data": [']), "incomplete|without sending"),
        # Closed, for the rest of the answer is no beginning of the next one.
        (
            Reply(200, {"Content-Length": "10", "Connection": "close"}, raw=[b'{"data": [{"id": 7, "at": 7}]}']),
            "not JSON",
        ),
        (Reply(200, {"Content-Length": "1000"}, raw=[b"{", CUT]), "reset|peer"),
        (Reply(200, {"Content-Encoding": "gzip"}, b'{"data": []}'), "decompressed"),
        (Reply(200, {"Content-Encoding": "br"}, b'{"data": []}'), "not asked for"),
    ],
)
def test_an_answer_that_is_not_what_was_agreed_on_is_asked_for_again(
    items: Items, server: HttpServer, reply: Reply, says: str
) -> None:
    items.add(*map(item, range(25)))
    with Polling(f"{items.url}/next", **PAGED["next"], **BY_FIELD) as polling:
        ids = [record.body["id"] for record in polling.page().records]
        server.first("/items/next", reply, reply)
        for _ in range(2):
            with pytest.raises(TransientError, match=f"(?i){says}") as raised:
                polling.page()
            assert "/items/next" in str(raised.value)
        assert sorted(ids + polling.ids()) == list(range(25))


def test_the_server_says_when_to_come_again(server: HttpServer) -> None:
    server.first(
        "/list", Reply(429, {"Retry-After": "3"}), Reply(503, {"Retry-After": "Wed, 31 Jan 2124 10:00:00 GMT"})
    )
    with Polling(f"{server.url}/list") as polling:
        for seconds in (3.0, 3600.0):
            with pytest.raises(TransientError) as raised:
                polling.page()
            assert raised.value.retry_after == seconds


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_stays_wrong_stops_the_flow(server: HttpServer, status: int) -> None:
    server.route("/list", Reply(status, body=f"key={API_KEY} is not known".encode()))
    account = {"api_key": API_KEY, "api_key_query": "key"}
    with Polling(f"{server.url}/list?region=eu", account) as polling, pytest.raises(FatalError) as raised:
        polling.page()
    assert f"GET {server.url}/list: {status}" in str(raised.value)
    assert API_KEY not in str(raised.value)


def test_items_without_a_cursor_are_dead_letters_once(items: Items) -> None:
    items.add(item(1), {"id": 2, "at": None}, {"id": 3}, item(4), {"id": 5, "at": "text"})
    with Polling(f"{items.url}/all", **BY_FIELD) as polling:
        bodies = [record.body for record in polling.records()]
        assert [body for body in bodies if not isinstance(body, RecordError)] == [item(4), item(1)]
        assert len(bodies) == 5
        assert polling.records() == []
        polling.crash(polling.cursor)
        items.add({"id": 6}, item(7))
        seven, six = polling.records()
        assert seven.body == item(7)
        assert six.raw == b'{"id":6}'
        assert "missing field 'at'" in str(six.body)


def test_a_cursor_that_no_item_has_is_a_mistake_of_the_spec(items: Items) -> None:
    items.add(*map(item, range(5)))
    with Polling(f"{items.url}/all", cursor_field="added") as polling, pytest.raises(FatalError, match="'added'"):
        polling.page()
    mixed = "is a number, and the cursor so far is a time"
    since = Polling(f"{items.url}/all", cursor_field="at", since="2024-01-01")
    with since as polling, pytest.raises(FatalError, match=mixed):
        polling.page()


def test_more_than_can_be_remembered_is_an_error_and_no_flood(items: Items) -> None:
    items.add(*(item(number, at=1) for number in range(101)))
    with Polling(f"{items.url}/all", remember=100) as polling, pytest.raises(FatalError, match="101 are listed"):
        polling.records()
    with (
        Polling(f"{items.url}/all", remember=100, **BY_FIELD) as polling,
        pytest.raises(FatalError, match="same cursor"),
    ):
        polling.records()


@pytest.mark.parametrize("pages", [{"next_url": "next"}, {"token": "token", "query": "token"}, {"page": "page"}])
def test_pages_that_go_round_in_circles_are_no_storm(server: HttpServer, pages: dict[str, Any]) -> None:
    server.route("/list", json_reply({"items": [item(1)], "next": "/other", "token": "again"}))
    server.route("/other", json_reply({"items": [item(2)], "next": "/list", "token": "again"}))
    with Polling(f"{server.url}/list", items="items", pages=pages) as polling, pytest.raises(FatalError):
        polling.records()
    assert len(server.requests) <= 3


def test_a_list_without_end_is_no_storm(server: HttpServer) -> None:
    server.route("/list", lambda seen: json_reply([item(int(seen.query["page"]))]))
    endless = Polling(f"{server.url}/list", pages={"page": "page", "start": 0}, max_pages=7)
    with endless as polling, pytest.raises(FatalError, match="max_pages"):
        polling.records()
    assert [seen.query["page"] for seen in server.requests] == ["0", "1", "2", "3", "4", "5", "6"]


def test_credentials_go_to_no_other_host(items: Items, server: HttpServer) -> None:
    with HttpServer() as stranger:
        stranger.route("/more", json_reply([item(2)]))
        server.route("/list", json_reply([item(1)], Link=f'<{stranger.url}/more?key=k3y>; rel="next"'))
        account = {"bearer_token": "tok3n", "headers": {"X-Tenant": "shop"}}
        fields: dict[str, Any] = {"pages": "link_header", "headers": {"X-Own": "secret", "Accept": "application/json"}}
        with Polling(f"{server.url}/list", account, **fields) as polling:
            assert polling.ids() == [1, 2]
        trusted = {**account, "trusted_hosts": [stranger.url.removeprefix("http://")]}
        with Polling(f"{server.url}/list", trusted, **fields) as polling:
            assert polling.ids() == [1, 2]
        first, second = stranger.requests
    assert not {"authorization", "x-tenant", "x-own"} & first.headers.keys()
    assert first.headers["accept"] == "application/json"
    assert second.headers["authorization"] == "Bearer tok3n"
    assert second.headers["x-tenant"] == "shop"
    assert server.requests[0].headers["x-own"] == "secret"


def test_the_key_of_an_account_is_in_every_query_and_in_no_cursor(server: HttpServer) -> None:
    def answer(seen: Seen) -> Reply:
        page = int(seen.query.get("page", 1))
        more = f'<{server.url}/list?key={seen.query["key"]}&page={page + 1}>; rel="next"'
        return json_reply([item(page)], Link=more if page < 3 else "")

    server.route("/list", answer)
    account = {"api_key": API_KEY, "api_key_query": "key"}
    with Polling(f"{server.url}/list", account, pages="link_header") as polling:
        page = polling.page()
        assert API_KEY not in str(page.cursor)
        assert polling.ids() == [2, 3]
    assert [seen.query["key"] for seen in server.requests] == [API_KEY] * 3


def test_a_token_of_oauth_is_renewed_before_it_expires_and_when_it_is_refused(server: HttpServer) -> None:
    tokens = TokenServer(server, lasts="3600")
    server.route("/list", tokens.protected(json_reply([item(1)])))
    oauth2 = {"token_url": tokens.url, "client_id": "flow", "client_secret": CLIENT_SECRET, "scope": "orders"}
    for where in ("header", "body"):
        with Polling(f"{server.url}/list", {"oauth2": {**oauth2, "credentials_in": where}}) as polling:
            polling.records()
            polling.records()
            tokens.good.clear()
            polling.records()
            tokens.good.clear()
            tokens.lasts = 0
            polling.records()
            tokens.lasts = 3600
    assert len(server.seen("/token")) == 6
    assert b"scope=orders" in server.seen("/token")[0].body
    tokens.good.clear()
    server.route("/list", Reply(401))
    with Polling(f"{server.url}/list", {"oauth2": oauth2}) as polling, pytest.raises(FatalError, match="401"):
        polling.page()
    assert len(server.seen("/token")) == 8
    with Polling(f"{server.url}/list", {"oauth2": {**oauth2, "client_secret": "wrong!!"}}) as polling:
        with pytest.raises(FatalError, match="invalid_client: who are you") as raised:
            polling.page()
        assert "wrong!!" not in str(raised.value)
        server.first("/token", Reply(503))
        with pytest.raises(TransientError, match="no token"):
            polling.page()


def test_a_post_that_searches(server: HttpServer) -> None:
    server.route("/search", lambda seen: json_reply({"hits": [item(seen.json()["after"] + 1)]}))
    body = "{to_json({'after': int(cursor or 0)})}"
    with Polling(f"{server.url}/search", method="POST", body=body, items="hits", cursor_field="id") as polling:
        assert polling.page().records[0].body["id"] == 1
        assert polling.page().records[0].body["id"] == 2
    assert server.requests[0].headers["content-type"] == "application/json"


def test_large_pages_are_handed_over_in_parts_of_a_bounded_size(server: HttpServer) -> None:
    server.route("/list", json_reply([{"id": number, "pad": "x" * 1_000_000} for number in range(30)]))
    with Polling(f"{server.url}/list") as polling:
        sizes = []
        while (page := polling.page()).more:
            sizes.append(len(page.records))
        sizes.append(len(page.records))
    assert sizes == [9, 9, 9, 3]
    assert len(server.requests) == 1
