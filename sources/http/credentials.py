"""What a request carries so that the server knows who makes it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

from sources.http.oauth2 import Tokens

if TYPE_CHECKING:
    from sources.http.account import HttpAccount
    from sources.http.calls import Answer, Call

__all__ = ["Credentials"]

_BEARER = "Bearer "
_MASK = "***"


class Credentials:
    """The headers and query parameters of an account; safe to use from any thread."""

    def __init__(self, account: HttpAccount, ask: Callable[[Call], Answer]) -> None:
        """Make them of `account`; `ask` makes a request without credentials."""
        self._tokens = None if account.oauth2 is None else Tokens(account.oauth2, ask)
        self._secrets = [secret for secret in account.secrets() if len(secret) > 2]  # noqa: PLR2004 - a text is full of
        self._headers = {name.lower(): value.get_secret_value() for name, value in account.headers.items()}
        self.query: dict[str, str] = {}
        """Parameters of each request."""
        if account.username is not None and account.password is not None:
            pair = base64.b64encode(f"{account.username}:{account.password.get_secret_value()}".encode()).decode()
            self._headers["authorization"] = f"Basic {pair}"
            self._secrets.append(pair)
        if account.bearer_token is not None:
            self._headers["authorization"] = _BEARER + account.bearer_token.get_secret_value()
        if account.api_key is not None:
            key = account.api_key.get_secret_value()
            if account.api_key_query:
                self.query[account.api_key_query] = key
            else:
                self._headers[account.key_header.lower()] = key

    def headers(self) -> dict[str, str]:
        """Headers of a request, by names in lower case.

        Raises:
            TransientError: a token cannot be had at present.
            FatalError: a token is refused.
        """
        if self._tokens is None:
            return self._headers
        return {**self._headers, "authorization": _BEARER + self._tokens.token()}

    def renew(self, headers: dict[str, str]) -> bool:
        """Take note that a request with `headers` was refused; answers whether another one may do better."""
        if self._tokens is None:
            return False
        self._tokens.forget(headers["authorization"].removeprefix(_BEARER))
        return True

    def masked(self, text: str) -> str:
        """A text without any secret of the account."""
        for secret in (*self._secrets, self._tokens.current if self._tokens else None):
            if secret:
                text = text.replace(secret, _MASK)
        return text
