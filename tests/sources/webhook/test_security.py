"""Who is let in: examples of the senders' documentation, and what must not pass."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from sources.webhook.http import Answer, Request
from sources.webhook.security import Preset, SharedSecret, Signature, Signed

SECRET = "whsec_test"
NOW = 1_700_000_000
BODY = b'{"id": 1}'


def check(signature: Signature | Preset, header: str, body: bytes = BODY, secret: str = SECRET) -> Answer | None:
    signature = Signature.of(signature)
    gate = Signed(signature, secret, now=lambda: NOW)
    request = Request("POST", "/", "", {signature.header.lower(): header}, "", body)
    return gate.check_head(request) or gate.check(request)


def digest(signed: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).digest()


def stripe(stamp: object, *secrets: str, body: bytes = BODY) -> str:
    signatures = [f"v1={digest(f'{stamp}.'.encode() + body, secret).hex()}" for secret in secrets]
    return ",".join([f"t={stamp}", *signatures, "v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"])


def status(answer: Answer | None) -> int:
    return 202 if answer is None else answer.status


def test_github() -> None:
    # "Testing the webhook payload validation" in GitHub's documentation.
    right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret = "It's a Secret to Everybody"
    assert check("github", right, b"Hello, World!", secret) is None
    assert status(check("github", right, b"Hello, World!", secret + "!")) == 403
    assert status(check("github", right.removeprefix("sha256="), b"Hello, World!", secret)) == 403
    assert status(check("github", "", b"Hello, World!", secret)) == 403


def test_shopify() -> None:
    assert check("shopify", base64.b64encode(digest(BODY)).decode()) is None
    assert status(check("shopify", digest(BODY).hex())) == 403


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (stripe(NOW, SECRET), 202),
        (stripe(NOW - 299, SECRET), 202),
        (stripe(NOW + 299, SECRET), 202),
        (stripe(NOW, "old", SECRET), 202),
        (stripe(NOW - 301, SECRET), 403),
        (stripe(NOW + 301, SECRET), 403),
        (stripe(NOW, "old"), 403),
        (stripe(NOW, SECRET).replace(str(NOW), str(NOW - 1)), 403),
        (stripe(NOW, SECRET, body=b"{}"), 403),
        (stripe("", SECRET), 403),
        (stripe("soon", SECRET), 403),
        (stripe("9" * 5000, SECRET), 403),
        ("", 403),
        ("t=,v1=", 403),
    ],
)
def test_stripe(header: str, expected: int) -> None:
    assert status(check("stripe", header)) == expected


def test_another_header() -> None:
    signature = Signature(header="X-Sig", prefix="hmac ", encoding="base64")
    assert check(signature, "hmac " + base64.b64encode(digest(BODY)).decode()) is None
    assert status(check(signature, "HMAC " + base64.b64encode(digest(BODY)).decode())) == 403


def test_what_is_missing_is_named() -> None:
    for gate in (SharedSecret("X-Token", SECRET), Signed(Signature.of("github"), SECRET)):
        answer = gate.check_head(Request("POST", "/", "", {}, ""))
        assert answer is not None
        assert answer.status == 401
        assert gate.header.encode() in answer.body
        assert SECRET.encode() not in answer.body


@pytest.mark.parametrize("given", ["", "whsec_tes", "whsec_test ", "Whsec_test", "whsec_test, whsec_test", "é"])
def test_a_wrong_secret(given: str) -> None:
    gate = SharedSecret("X-Token", SECRET)
    assert status(gate.check_head(Request("POST", "/", "", {"x-token": given}, ""))) == 403
