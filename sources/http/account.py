"""The HTTP account of a connector: which API to talk to, and as whom."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, SecretStr, field_validator, model_validator

from flowspec.connectors import Account
from flowspec.errors import MissingDependencyError
from flowspec.fields import Duration
from flowspec.model import SpecModel
from sources.http.addresses import Origin, origin_of, problem_with

if TYPE_CHECKING:
    import httpx

__all__ = ["HEADER_NAME", "HttpAccount", "HttpAccountField", "OAuth2"]

HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_TELL_URLS = ("httpx", "httpcore")
"""Loggers that write the URL of every request, with all that is in its query, and at a lower level its headers."""
_IDLE = 30
"""Seconds after which an idle connection is closed; most servers keep one longer."""


class OAuth2(SpecModel):
    """Client credentials of OAuth 2 (RFC 6749, section 4.4).

    A token is kept and shared by all requests of a worker. It is renewed before it expires, and once after a 401.
    """

    token_url: Annotated[
        str, Field(description="URL that gives tokens.", examples=["https://login.example.com/oauth/token"])
    ]
    client_id: Annotated[str, Field(min_length=1, description="Who asks for a token.", examples=["orders-flow"])]
    client_secret: Annotated[SecretStr, Field(description="Secret of the client.", examples=["${OAUTH_CLIENT_SECRET}"])]
    scope: Annotated[
        str | None, Field(description="Scopes to ask for, with spaces between them.", examples=["orders.read"])
    ] = None
    audience: Annotated[
        str | None,
        Field(
            description="API that the token is for, where the server wants it.", examples=["https://api.example.com"]
        ),
    ] = None
    credentials_in: Annotated[
        Literal["header", "body"],
        Field(
            description="Where client_id and client_secret stand in the request: in the `Authorization` header, or in "
            "its form.",
            examples=["body"],
        ),
    ] = "header"

    @field_validator("token_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if problem := problem_with(url):
            raise ValueError(problem)
        return url


class HttpAccount(Account):
    """An HTTP API.

    Credentials and `headers` go to the host of `base_url`, or else of the URL that a spec has, and to `trusted_hosts`:
    never to another one that a page, a redirect or a record leads to.
    """

    base_url: Annotated[
        str | None,
        Field(
            description="What the URL of a trigger or sink continues where it is only a path.",
            examples=["https://api.example.com/v2"],
        ),
    ] = None
    username: Annotated[str | None, Field(description="User name, for basic authentication.", examples=["orders"])] = (
        None
    )
    password: Annotated[SecretStr | None, Field(description="Password of the user.", examples=["${API_PASSWORD}"])] = (
        None
    )
    bearer_token: Annotated[
        SecretStr | None, Field(description="Token for the `Authorization` header.", examples=["${API_TOKEN}"])
    ] = None
    api_key: Annotated[
        SecretStr | None, Field(description="Key that is sent in a header, or in the query.", examples=["${API_KEY}"])
    ] = None
    api_key_header: Annotated[
        str | None,
        Field(
            pattern=HEADER_NAME,
            description="Header that has the API key; by default X-API-Key, unless it is in the query.",
            examples=["X-API-Key"],
        ),
    ] = None
    api_key_query: Annotated[
        str | None,
        Field(min_length=1, description="Query parameter that has the API key, instead of a header.", examples=["key"]),
    ] = None
    oauth2: Annotated[
        OAuth2 | None,
        Field(
            description="Client credentials of OAuth 2.",
            examples=[
                {
                    "token_url": "https://login.example.com/oauth/token",
                    "client_id": "orders-flow",
                    "client_secret": "${OAUTH_CLIENT_SECRET}",
                }
            ],
        ),
    ] = None
    headers: Annotated[
        dict[Annotated[str, Field(pattern=HEADER_NAME)], SecretStr],
        Field(description="More headers of each request; their values are secret.", examples=[{"X-Tenant": "shop"}]),
    ] = Field(default_factory=dict)
    trusted_hosts: Annotated[
        list[str],
        Field(
            description="Other hosts that get the credentials as well, never without TLS where the first has it; a "
            "port other than the usual one is given as `host:port`.",
            examples=[["files.example.com"]],
        ),
    ] = Field(default_factory=list)
    signing_secret: Annotated[
        SecretStr | None,
        Field(
            description="Secret that the sender of a webhook signs or sends along; used by `http / webhook` only.",
            examples=["${WEBHOOK_SECRET}"],
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Field(
            description="File with the certificates (PEM) that a server's is checked against; by default those of "
            "the Mozilla project, or the file that SSL_CERT_FILE names.",
            examples=["/etc/ssl/company/ca.pem"],
        ),
    ] = None
    certificate_file: Annotated[
        str | None,
        Field(
            description="File with this client's certificate (PEM), where the server asks for one.",
            examples=["/etc/ssl/company/client.pem"],
        ),
    ] = None
    key_file: Annotated[
        str | None,
        Field(
            description="File with the private key (PEM, not encrypted) of certificate_file; by default that file.",
            examples=["/etc/ssl/company/client.key"],
        ),
    ] = None
    verify: Annotated[
        bool,
        Field(
            description="Whether a server's certificate and host name are checked; false is for tests only.",
            examples=[False],
        ),
    ] = True
    connect_timeout: Annotated[
        Duration, Field(gt=0, le=300, description="How long to wait for a connection.", examples=["5s"])
    ] = 10.0
    read_timeout: Annotated[
        Duration,
        Field(
            gt=0,
            le=3600,
            description="How long a server may be silent before a request counts as failed.",
            examples=["30s"],
        ),
    ] = 30.0

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if problem := problem_with(url):
            raise ValueError(problem)
        if "?" in url or "#" in url:
            msg = "a base URL has no query: give 'query' to the trigger"
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> HttpAccount:
        if (self.username is None) != (self.password is None):
            msg = "username and password go together: give both or none"
            raise ValueError(msg)
        if self.api_key_header and self.api_key_query:
            msg = "give 'api_key_header' or 'api_key_query', not both"
            raise ValueError(msg)
        if self.api_key is None and (self.api_key_header or self.api_key_query):
            msg = "api_key_header and api_key_query say where 'api_key' is sent: give it too"
            raise ValueError(msg)
        setters = list(self._sets_authorization())
        if len(setters) > 1:
            msg = f"{' and '.join(setters)} each set the header Authorization: give one of them"
            raise ValueError(msg)
        names = [name.lower() for name in self.headers]
        if self.api_key is not None and not self.api_key_query and self.key_header.lower() in names:
            msg = f"api_key and headers each set the header {self.key_header}: give one of them"
            raise ValueError(msg)
        if self.key_file and not self.certificate_file:
            msg = "key_file goes with certificate_file: give both"
            raise ValueError(msg)
        return self

    @property
    def key_header(self) -> str:
        """The header that has the API key, where it is not in the query."""
        return self.api_key_header or "X-API-Key"

    @property
    def has_credentials(self) -> bool:
        """Whether requests say who makes them."""
        named = (self.username, self.bearer_token, self.api_key, self.oauth2, self.certificate_file)
        return bool(self.headers) or any(each is not None for each in named)

    def trusts(self, origin: Origin, home: str | None) -> bool:
        """Whether credentials are sent to `origin`, where `home` is the URL of the spec."""
        own = self.base_url or home
        known = origin_of(own) if own else None
        if known is not None and known.covers(origin):
            return True
        is_downgrade = origin.scheme == "http" and known is not None and known.scheme == "https"
        return not is_downgrade and any(origin.is_named(host) for host in self.trusted_hosts)

    def secrets(self) -> Iterator[str]:
        """All secret values, so that they can be taken out of a text."""
        own = (self.password, self.bearer_token, self.api_key, self.signing_secret)
        of_oauth2 = self.oauth2.client_secret if self.oauth2 else None
        for secret in (*own, of_oauth2, *self.headers.values()):
            if secret is not None and secret.get_secret_value():
                yield secret.get_secret_value()

    def check(self) -> str:
        """Reach the server of `base_url`, and get a token of `oauth2`, as far as the account has them."""
        try:
            from sources.http.checking import check_account
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        return check_account(self)

    def client(self, connections: int) -> httpx.Client:
        """A client that any number of threads may share; nothing is connected yet.

        It follows no redirects and sends no credentials: `Session` does.

        Args:
            connections: How many requests run at the same time.

        Raises:
            MissingDependencyError: httpx is not installed.
            FatalError: a certificate or key cannot be used.
        """
        try:
            import httpx

            from sources.http.tls import tls_context
        except ImportError:
            raise MissingDependencyError(connector="http", extra="http") from None
        for name in _TELL_URLS:
            logging.getLogger(name).setLevel(logging.WARNING)
        timeout = httpx.Timeout(self.read_timeout, connect=self.connect_timeout)
        limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_IDLE
        )
        return httpx.Client(
            verify=tls_context(
                ca_file=self.ca_file,
                certificate_file=self.certificate_file,
                key_file=self.key_file,
                verify=self.verify,
            ),
            timeout=timeout,
            limits=limits,
            # What a server wants to be told again has no place between two requests of a flow.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # What is not asked for here, `Session` does not decode.
            headers={"User-Agent": "trigger-flows", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"},
        )

    def _sets_authorization(self) -> Iterator[str]:
        for field in ("username", "bearer_token", "oauth2"):
            if getattr(self, field) is not None:
                yield field
        if self.api_key is not None and not self.api_key_query and self.key_header.lower() == "authorization":
            yield "api_key"
        if any(name.lower() == "authorization" for name in self.headers):
            yield "headers"


HttpAccountField: TypeAlias = Annotated[
    HttpAccount | str | None,
    Field(
        description="Name of an account, or the account itself. Without one, requests have no credentials.",
        examples=["shop-api"],
    ),
]
"""The `account` of a trigger or sink."""
