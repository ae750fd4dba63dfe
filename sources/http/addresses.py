"""URLs of an HTTP API: where they lead, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus, urlencode, urljoin, urlsplit, urlunsplit

__all__ = [
    "Origin",
    "followed",
    "home_of",
    "joined",
    "origin_of",
    "problem_with",
    "shown",
    "with_query",
    "without_query",
]

_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Origin(NamedTuple):
    """Who answers at a URL."""

    scheme: str
    host: str
    port: int

    def covers(self, other: Origin) -> bool:
        """Whether `other` is the same server, or the same host reached by TLS instead of plain text."""
        upgraded = (self.scheme, self.port, other.scheme, other.port) == ("http", 80, "https", 443)
        return self == other or (upgraded and self.host == other.host)

    def is_named(self, host: str) -> bool:
        """Whether it is `host`, which may have a port."""
        own = f"[{self.host}]" if ":" in self.host else self.host
        return host.lower() in ([own] if self.port == _PORTS[self.scheme] else []) + [f"{own}:{self.port}"]


def origin_of(url: str) -> Origin:
    """Who answers at `url`.

    Raises:
        ValueError: it is not a complete URL of HTTP.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in _PORTS or not host:
        msg = "a URL begins with https:// or http:// and a host"
        raise ValueError(msg)
    return Origin(scheme, host, port or _PORTS[scheme])


def problem_with(url: str) -> str | None:
    """What is wrong with a URL that somebody has written, if anything is; it quotes none of it."""
    try:
        origin_of(url)
    except ValueError as error:
        return str(error)
    if "@" in urlsplit(url).netloc:
        return "a URL has no user and password: give the account 'username' and 'password'"
    return None


def joined(base_url: str | None, url: str) -> str:
    """A URL of a spec as a whole: one that is only a path continues `base_url`."""
    if base_url is None or is_whole(url):
        return url
    return f"{base_url.rstrip('/')}/{url.lstrip('/')}" if url else base_url


def is_whole(url: str) -> bool:
    """Whether a URL, or a template for one, begins with its scheme."""
    return _SCHEME.match(url) is not None


def followed(base: str, url: str) -> str:
    """The URL that an answer from `base` refers to as `url`, which may be a part of one.

    Raises:
        ValueError: it does not lead to a server of HTTP.
    """
    target = urlsplit(urljoin(base, url))
    origin_of(target.geturl())
    # Neither a user nor a fragment of somebody else's URL is any business of ours.
    return urlunsplit((target.scheme, target.netloc.rpartition("@")[2], target.path or "/", target.query, ""))


def with_query(url: str, query: Mapping[str, str]) -> str:
    """A URL with parameters set. What it has besides stays as it is, to the letter: it may be signed."""
    if not query:
        return url
    parts = urlsplit(url)
    kept = [part for part in parts.query.split("&") if part and unquote_plus(part.partition("=")[0]) not in query]
    return urlunsplit(parts._replace(query="&".join([*kept, urlencode(query)]), fragment=""))


def without_query(url: str, *names: str) -> str:
    """A URL without some of its parameters."""
    parts = urlsplit(url)
    kept = [part for part in parts.query.split("&") if part and unquote_plus(part.partition("=")[0]) not in names]
    return urlunsplit(parts._replace(query="&".join(kept), fragment=""))


def shown(url: str) -> str:
    """A URL without what may be a secret: scheme, host, port and path."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def home_of(template: str) -> str | None:
    """The URL that a template begins with, as far as its host; None where what is filled in may change the host."""
    constant = template.partition("{")[0]
    scheme = _SCHEME.match(constant)
    host, end, _ = constant[scheme.end() if scheme else 0 :].partition("/")
    return f"{scheme[0]}{host}/" if scheme and (end or constant == template) else None
