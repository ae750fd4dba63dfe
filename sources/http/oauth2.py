"""Tokens of OAuth 2, by client credentials."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

import orjson

from flowspec.errors import FatalError, TransientError
from sources.http.calls import Answer, Call
from sources.http.errors import is_passing, retry_after, status_line

if TYPE_CHECKING:
    from sources.http.account import OAuth2

__all__ = ["Tokens"]

_EARLY = 30.0
"""Seconds before its end at which a token is renewed; of a short-lived one a fifth of its life."""
_FORM = "application/x-www-form-urlencoded"


class Tokens:
    """The token of one account; safe to use from any thread."""

    def __init__(self, oauth2: OAuth2, ask: Callable[[Call], Answer]) -> None:
        """Get tokens by `ask`, which makes a request without credentials."""
        self._oauth2 = oauth2
        self._ask = ask
        self._token: str | None = None
        self._renew_at = 0.0
        self._lock = threading.Lock()

    @property
    def current(self) -> str | None:
        """The token that is in use."""
        return self._token

    def token(self) -> str:
        """A token that is good for now.

        Raises:
            TransientError: the server gives none at present.
            FatalError: the server refuses the credentials.
        """
        with self._lock:
            if self._token is None or time.monotonic() >= self._renew_at:
                self._token, lasts = self._fetched()
                self._renew_at = time.monotonic() + lasts - min(_EARLY, lasts / 5)
            return self._token

    def forget(self, token: str) -> None:
        """Use a token no more: it was refused."""
        with self._lock:
            if self._token == token:
                self._token = None

    def _fetched(self) -> tuple[str, float]:
        """A new token, and for how many seconds it is good."""
        call = self._call()
        answer = self._ask(call)
        said = _object(answer.body)
        if not answer.is_success:
            raise _refusal(call.at, answer, said)
        token, lasts = said.get("access_token"), said.get("expires_in")
        if not isinstance(token, str) or not token:
            msg = f"{call.at}: the answer has no access_token"
            raise TransientError(msg)
        try:
            return token, max(1.0, float(lasts)) if lasts is not None else float("inf")
        except (TypeError, ValueError):
            return token, float("inf")

    def _call(self) -> Call:
        own = self._oauth2
        form = {"grant_type": "client_credentials"}
        if own.scope is not None:
            form["scope"] = own.scope
        if own.audience is not None:
            form["audience"] = own.audience
        headers = {"content-type": _FORM, "accept": "application/json"}
        secret = own.client_secret.get_secret_value()
        if own.credentials_in == "header":
            # Both are encoded like a form first: RFC 6749, section 2.3.1.
            pair = f"{quote_plus(own.client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": own.client_id, "client_secret": secret}
        return Call("POST", own.token_url, headers=headers, content=urlencode(form).encode())


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _refusal(at: str, answer: Answer, said: dict[str, Any]) -> TransientError | FatalError:
    reason = ": ".join(str(said[key])[:200] for key in ("error", "error_description") if said.get(key))
    text = f"{at}: no token: {reason or status_line(answer.status)}"
    if is_passing(answer.status):
        return TransientError(text, retry_after=retry_after(answer.headers))
    return FatalError(f"{text} (check client_id, client_secret, scope and audience of the account's oauth2)")
