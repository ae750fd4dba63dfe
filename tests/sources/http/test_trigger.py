"""The spec model of the trigger."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from sources.http import PollEndpoint
from tests.sources.http.pollers import open_poller

URL = "https://api.example.com/orders"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "/orders"}, "only a path"),
        ({"url": "https://{now}.example.com/"}, "host must not depend"),
        ({"body": "x"}, "is a POST"),
        ({"cursor_field": "id", "cursor_token": "next"}, "not both"),
        ({"query": {"since": "{cursor}"}}, "give 'cursor_field'"),
        ({"since": "2024-01-01"}, "begins at the 'beginning'"),
        ({"cursor_token": "next"}, "never told"),
        ({"newest_first": True}, "give 'pages'"),
        ({"format": "csv", "items": "data"}, "only an answer in JSON"),
        ({"format": "csv", "pages": {"next_url": "next"}}, "take it from 'headers'"),
        ({"pages": {"nxt": "next"}}, "'next_url', 'token', 'page', 'offset'"),
        ({"pages": {"token": "next"}}, "query"),
    ],
)
def test_what_cannot_work_is_refused_when_the_spec_is_loaded(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        PollEndpoint.model_validate({"url": URL, **fields})
    assert says in str(raised.value)


def test_a_cursor_is_good_for_a_url_and_a_field_whatever_the_query() -> None:
    def basis(**fields: Any) -> dict[str, Any]:
        return PollEndpoint.model_validate({"url": URL, "cursor_field": "id", **fields}).cursor_basis()

    assert basis() == basis(query={"status": "paid"}) == {"url": URL, "cursor_field": "id"}
    assert basis() == basis(url=URL + "?status=paid")
    assert basis() != basis(cursor_field="updated_at")
    assert basis() != basis(url=URL + "/new")
    assert basis() != basis(key="id")


def test_a_value_that_is_set_by_hand_has_to_be_one() -> None:
    trigger = PollEndpoint.model_validate({"url": URL})
    context = WorkerContext("test", 0, 1, threading.Event(), Health("trigger"))
    with pytest.raises(FatalError, match="begins at the 'beginning'"):
        trigger.poller("5", context)


def test_the_status_shows_no_query() -> None:
    poller = open_poller(URL + "?key=secret", method="POST")
    assert poller.what == f"POST {URL}"
    poller.close()


def test_a_spec_is_read_without_the_package_and_its_flow_says_what_to_install() -> None:
    program = """
import sys, threading
sys.modules["httpx"] = None
from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import MissingDependencyError
from sinks.http import Request
from sources.http import PollEndpoint
context = WorkerContext("test", 0, 1, threading.Event(), Health("trigger"))
for opened in (
    lambda: PollEndpoint.model_validate({"url": "https://a.b/"}).poller("now", context),
    lambda: Request.model_validate({"url": "https://a.b/"}).open(context),
):
    try:
        opened()
    except MissingDependencyError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.count("pip install 'trigger-flows[http]'") == 2
