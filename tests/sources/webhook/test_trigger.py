"""The spec model: an endpoint is not open to all by mistake."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sources.http import HttpAccount
from sources.webhook import Webhook
from tests.secrets import secret

SIGNING_SECRET = secret("Webhook")
SECRET = {"account": {"signing_secret": SIGNING_SECRET}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"host": "0.0.0.0"}, "others reach 0.0.0.0 and could send anything"),
        ({"host": "::"}, "others reach :: and could send anything"),
        ({"host": "example.com", "account": "shop"}, "others reach example.com"),
        ({"secret_header": "X-Token"}, "the account has no 'signing_secret'"),
        ({"signature": "github", "account": {}}, "the account has no 'signing_secret'"),
        ({"signature": "github", "account": {"signing_secret": ""}}, "is empty: anybody could sign with it"),
        ({**SECRET}, "say with 'secret_header' or 'signature' where it is used"),
        ({**SECRET, "unauthenticated": True}, "say with 'secret_header' or 'signature' where it is used"),
        ({**SECRET, "secret_header": "X-Token", "signature": "github"}, "give one of"),
        ({**SECRET, "signature": "github", "unauthenticated": True}, "give one of"),
        ({"signature": "gitlab"}, "signature"),
        ({**SECRET, "secret_header": "X Token"}, "secret_header"),
        ({"path": "hook"}, "path"),
        ({"path": "/hook?x=1"}, "path"),
        ({"methods": []}, "methods"),
        ({"methods": ["HEAD"]}, "methods"),
        ({"max_size": "65MiB"}, "max_size is more than pending_size"),
        ({"port": 0}, "port"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as raised:
        Webhook(**{"port": 8080, **fields})
    assert SIGNING_SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "127.8.8.8"},
        {"unauthenticated": True, "host": "0.0.0.0"},
        {"host": "0.0.0.0", "signature": "stripe", **SECRET},
        {"host": "0.0.0.0", "secret_header": "X-Token", **SECRET},
        {"host": "0.0.0.0", "secret_header": "X-Token", "account": "shop"},
        {"signature": {"header": "X-Signature", "encoding": "base64"}, **SECRET},
    ],
)
def test_what_is_safe_is_taken(fields: dict[str, Any]) -> None:
    assert Webhook(**{"port": 8080, **fields}).partitions(3) == ["endpoint"]


def test_the_secret_is_not_shown() -> None:
    trigger = Webhook(port=8080, signature="github", account=HttpAccount(signing_secret=SIGNING_SECRET))
    assert SIGNING_SECRET not in repr(trigger)
