"""A flow that polls an API with all the moods that APIs have, and is killed meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sources.testing.flows import Flow, eventually
from sources.testing.lab import Lab
from tests.servers.http_api import Items
from tests.servers.http_server import CUT, HttpServer, Reply
from tests.sources.killing import kill_behind_a_cursor

PATH = "/items/links"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


BODY = json.dumps([{"id": 10**9, "at": "2030-01-01T00:00:00Z"}]).encode()
PAGE = b"<html>Bad gateway</html>"
MOODS = [
    Reply(429, {"Retry-After": "0"}),
    Reply(503, {"Retry-After": "1"}, PAGE),
    Reply(500, body=PAGE),
    Reply(200, {"Content-Type": "text/html"}, PAGE),
    Reply(200, {"Content-Length": str(len(BODY) + 50)}, raw=[BODY]),
    Reply(200, {"Content-Length": str(len(BODY) - 5)}, raw=[BODY]),
    Reply(200, {"Transfer-Encoding": "chunked"}, raw=[b"%x\r\n%s\r\n" % (len(BODY), BODY)]),
    Reply(200, {"Content-Length": "5000"}, raw=[BODY, CUT]),
    Reply(200, {"Content-Encoding": "gzip"}, BODY),
]
"""Answers that an API should not give; the item in them is none."""


def trigger(url: str, **fields: Any) -> dict[str, Any]:
    return {
        "connector": "http",
        "event": "poll-endpoint",
        "url": url,
        "interval": "20ms",
        "external_id": "id",
        **fields,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"cursor_field": "at", "key": "id", "newest_first": True},
        {"newest_first": True},
    ],
    ids=["by field", "by memory"],
)
def test_all_items_come_once_whatever_the_api_does(
    lab: Lab, server: HttpServer, items: Items, fields: dict[str, Any]
) -> None:
    """Pages, throttling, broken connections and answers of a wrong length: all once, none twice, and no storm."""
    total, moods = 0, MOODS * 3
    flow = lab.flow(trigger(server.url + PATH, pages="link_header", batch_size=7, **fields))
    with flow.running():
        while moods or total % 100:
            # Many have the same time, and come one after the other.
            items.add({"id": total, "at": f"2024-01-01T{total // 600:02}:{total // 10 % 60:02}:00Z"})
            total += 1
            time.sleep(0.005)
            if moods and not server.waiting(PATH) and len(server.requests) % 5 == 0:
                server.first(PATH, moods.pop())
        lab.wait_for(total)
        eventually(lambda: not server.waiting(PATH), "each answer was given")
    lab.delivered_once(range(total))
    print(f"{total} items, {len(server.requests)} requests, {len(MOODS) * 3} of them answered badly")
    assert len(server.requests) < 3 * total


def test_the_order_may_change_and_answers_may_not(lab: Lab, server: HttpServer, items: Items) -> None:
    """One page, shuffled by the server each time; what has not changed is answered by a 304."""
    flow = lab.flow(trigger(items.url + "/all", cursor_field="at", key="id"))
    with flow.running():
        for number in range(300):
            items.order = ("newest first", "oldest first", "shuffled")[number % 3]
            items.add({"id": number, "at": number // 7})
            time.sleep(0.003)
        items.order = "newest first"
        lab.wait_for(300)
        eventually(lambda: "if-none-match" in server.requests[-1].headers, "the server is asked for changes only")
    lab.delivered_once(range(300))


def test_nobody_is_stormed(lab: Lab, server: HttpServer, items: Items) -> None:
    """Idle, one request comes each interval; throttled, none before it is time."""
    items.add({"id": 1, "at": 1})
    flow = lab.flow(trigger(items.url + "/all", interval="500ms"))
    with flow.running():
        lab.wait_for(1)
        began, before = time.monotonic(), len(server.requests)
        eventually(lambda: len(server.requests) >= before + 4, "it polls on")
        assert time.monotonic() - began > 1.2
        server.first("/items/all", Reply(429, {"Retry-After": "3"}))
        eventually(flow.is_down, "the flow is throttled")
        eventually(flow.is_up, "it comes back")
        (throttled, after) = _around(server)
        assert after - throttled >= 3


def _around(server: HttpServer) -> tuple[float, float]:
    """When the requests came with the longest pause between them."""
    times = [seen.at for seen in server.requests]
    pauses = sorted(pairwise(times), key=lambda pair: pair[0] - pair[1])
    return pauses[0]


def test_killed_between_pages_with_the_newest_first(lab: Lab, server: HttpServer, items: Items) -> None:
    """By kill -9, four times during one long walk, while new items come: nothing is lost."""
    total = 3_000
    items.size = 50
    items.add(*({"id": number, "at": number} for number in range(total // 2)))
    spec = trigger(server.url + PATH, pages="link_header", cursor_field="at", key="id", batch_size=20)
    flow = lab.command(spec, sink=lab.sink(sleep="20ms"))
    coming = threading.Thread(target=_arrive, args=(items, range(total // 2, total)))
    coming.start()
    again = 0
    for moment in (100, 400, 700, 1_000):
        flow.start()
        lab.wait_for(moment)
        again += kill_behind_a_cursor(flow, lab, 20)
    with flow.running():
        lab.wait_for(total)
    coming.join()
    lab.delivered_at_least_once(range(total))
    duplicates = lab.counts().total() - total
    print(f"{duplicates} duplicates after four kills")
    assert duplicates <= again


def _arrive(items: Items, numbers: range) -> None:
    for number in numbers:
        items.add({"id": number, "at": number})
        time.sleep(0.001)
