"""The account: contradictions are refused when it is loaded, and its secrets are shown nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec import SpecError, loads
from sources.http import HttpAccount
from sources.http.addresses import home_of, joined, origin_of, shown, with_query, without_query

OAUTH2 = {"token_url": "https://login.example.com/token", "client_id": "a", "client_secret": "s3cret"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"username": "a"}, "go together"),
        ({"password": "s3cret"}, "go together"),
        ({"username": "a", "password": "s3cret", "bearer_token": "s3cret"}, "username and bearer_token each set"),
        ({"bearer_token": "s3cret", "oauth2": OAUTH2}, "bearer_token and oauth2 each set"),
        ({"oauth2": OAUTH2, "headers": {"authorization": "s3cret"}}, "oauth2 and headers each set"),
        ({"bearer_token": "s3cret", "api_key": "s3cret", "api_key_header": "Authorization"}, "each set"),
        ({"api_key": "s3cret", "headers": {"x-api-key": "s3cret"}}, "each set the header X-API-Key"),
        ({"api_key": "s3cret", "api_key_header": "X-Key", "api_key_query": "key"}, "not both"),
        ({"api_key_query": "key"}, "give it too"),
        ({"key_file": "a.key"}, "certificate_file"),
        ({"base_url": "https://a:s3cret@b.example.com"}, "give the account 'username'"),
        ({"base_url": "b.example.com"}, "https://"),
        ({"base_url": "https://b.example.com?key=s3cret"}, "no query"),
        ({"oauth2": {**OAUTH2, "token_url": "login"}}, "https://"),
        ({"headers": {"X Y": "s3cret"}}, "pattern"),
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        HttpAccount.model_validate(fields)
    assert says in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_ways_to_authenticate_that_go_together() -> None:
    HttpAccount.model_validate({"bearer_token": "a", "api_key": "b", "headers": {"X-Tenant": "c"}})
    HttpAccount.model_validate({"oauth2": OAUTH2, "api_key": "b", "api_key_query": "key"})


def test_no_secret_is_shown() -> None:
    secrets = {"password": "s3cret", "bearer_token": None, "api_key": "s3cret", "signing_secret": "s3cret"}
    account = HttpAccount.model_validate({"username": "a", **secrets, "headers": {"X-Tenant": "s3cret"}})
    assert "s3cret" not in repr(account)
    assert "s3cret" not in str(account.model_dump())
    assert "s3cret" not in repr(HttpAccount.model_validate({"oauth2": OAUTH2}))


def test_a_spec_is_refused_with_the_place() -> None:
    spec = {
        "name": "polled",
        "trigger": {
            "connector": "http",
            "event": "poll-endpoint",
            "url": "https://api.example.com/orders",
            "account": {"username": "a", "password": "s3cret", "bearer_token": "s3cret"},
        },
        "sink": {"connector": "drop"},
    }
    with pytest.raises(SpecError) as raised:
        loads(json.dumps(spec))
    assert "trigger.account" in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("base_url", "url", "whole"),
    [
        (None, "https://a.b/c", "https://a.b/c"),
        ("https://a.b/v1/", "/c", "https://a.b/v1/c"),
        ("https://a.b/v1", "c?d=http://e", "https://a.b/v1/c?d=http://e"),
        ("https://a.b/v1", "https://c.d/", "https://c.d/"),
    ],
)
def test_joined(base_url: str | None, url: str, whole: str) -> None:
    assert joined(base_url, url) == whole


@pytest.mark.parametrize(
    ("template", "home"),
    [
        ("https://a.b/{id}", "https://a.b/"),
        ("https://a.b", "https://a.b/"),
        ("https://a.b{path}", None),
        ("https://{region}.a.b/", None),
        ("{url}", None),
        ("/orders?next=https://a.b/", None),
    ],
)
def test_the_host_of_a_template(template: str, home: str | None) -> None:
    assert home_of(template) == home


def test_whom_an_account_trusts() -> None:
    account = HttpAccount(base_url="https://a.b:8443/v1", trusted_hosts=["c.d", "e.f:9000"])
    trusted = ["https://a.b:8443/", "https://c.d/", "https://c.d:443/x", "https://e.f:9000"]
    for url in trusted:
        assert account.trusts(origin_of(url), None), url
    for url in ("https://a.b/", "http://a.b:8443/", "http://c.d/", "https://c.d:8443", "https://x.c.d", "https://e.f"):
        assert not account.trusts(origin_of(url), None), url
    assert HttpAccount().trusts(origin_of("https://a.b"), "http://a.b/")
    assert not HttpAccount().trusts(origin_of("http://a.b"), "https://a.b/")


def test_a_query_is_changed_without_touching_the_rest() -> None:
    url = "https://a.b/c?sig=%2b%2B+x&page=1&flag"
    assert with_query(url, {"page": "2 &"}) == "https://a.b/c?sig=%2b%2B+x&flag&page=2+%26"
    assert without_query(url, "page") == "https://a.b/c?sig=%2b%2B+x&flag"
    assert shown("https://u:p@a.b:1/c?key=1#f") == "https://a.b:1/c"
