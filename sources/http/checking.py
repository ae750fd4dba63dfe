"""What can be known of an API before a flow talks to it."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from flowspec.errors import RecordError
from flowspec.polling.watchdog import within
from sources.http.account import HttpAccount
from sources.http.addresses import origin_of
from sources.http.errors import classify
from sources.http.poller import EndpointPoller
from sources.http.session import Limits, Session
from sources.http.tls import tls_context

if TYPE_CHECKING:
    from sources.http.trigger import PollEndpoint

__all__ = ["check_account", "check_endpoint", "check_host"]

_PATIENCE = 4.0
"""Seconds for a connection, and for a token."""
_POLL = 8.0
"""Seconds for a poll with all that belongs to it; what watches it is a quarter late."""
_ITEMS = 500


def check_account(account: HttpAccount) -> str:
    """See that `base_url` is reached, and get a token, where the account has these; nothing else is asked for.

    Raises:
        TransientError: there is no answer at present.
        FatalError: there never will be one.
    """
    said = [] if account.base_url is None else [_reached(account, account.base_url)]
    if account.oauth2 is not None:
        said.append(_token(account))
    elif account.has_credentials:
        said.append("the credentials were not checked: only a request would do that")
    return "; ".join(said) or "nothing to check: it has no base_url"


def check_host(account: HttpAccount, home: str | None) -> str:
    """See that the host of a URL is reached, and get a token; no request is made, since it could change something."""
    reached = _reached(account, home) if home is not None else "the host depends on the record, and was not checked"
    token = "" if account.oauth2 is None else f"; {_token(account)}"
    return f"{reached}{token}; no request was made"


def check_endpoint(trigger: PollEndpoint) -> str:
    """Make the first request, and see that its answer is what was agreed on."""
    # What `now` takes note of is looked at as well.
    since = "beginning" if trigger.since == "now" else trigger.since
    account = HttpAccount.of(trigger.account)
    account = account.model_copy(update={"connect_timeout": min(_PATIENCE, account.connect_timeout)})
    poller = EndpointPoller(trigger, account, since)
    late = f"{poller.what}: no whole answer within {_POLL:g} s"
    with closing(poller), within(_POLL, poller.cancel, lambda: late):
        page = poller.poll(None, _ITEMS)
    faults = [record.body for record in page.records if isinstance(record.body, RecordError)]
    more = " and more" if page.more else ""
    said = f"{poller.what} answers, with {len(page.records):,} new items{more}"
    return f"{said}, of which {len(faults):,} would be dead letters: {faults[0]}" if faults else said


def _token(account: HttpAccount) -> str:
    """Get a token of OAuth 2."""
    with closing(Session(account, None, Limits(0))) as session:
        session.authenticate(_PATIENCE)
    return "a token was given"


def _reached(account: HttpAccount, url: str) -> str:
    """Connect to the server of a URL, with TLS where it has that, and say nothing to it."""
    origin = origin_of(url)
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    at = f"{origin.scheme}://{host}:{origin.port}"
    proxies = {} if proxy_bypass(origin.host) else getproxies()
    if proxy := proxies.get(origin.scheme) or proxies.get("all"):
        parts = urlsplit(proxy)
        _connect(account, (parts.hostname or "", parts.port or 80), f"the proxy of {at}", None)
        return f"the proxy of {at} is reached; what is behind it was not checked"
    version = _connect(account, (origin.host, origin.port), at, origin.host if origin.scheme == "https" else None)
    return f"{at} is reached{version}"


def _connect(account: HttpAccount, address: tuple[str, int], at: str, name: str | None) -> str:
    """Connect, and as `name` with TLS; answers with which version of it."""
    timeout = min(_PATIENCE, account.connect_timeout)
    try:
        with socket.create_connection(address, timeout) as connected:
            if name is None:
                return ""
            context = tls_context(
                ca_file=account.ca_file,
                certificate_file=account.certificate_file,
                key_file=account.key_file,
                verify=account.verify,
            )
            with context.wrap_socket(connected, server_hostname=name) as secured:
                return f" with {secured.version()}"
    except OSError as error:
        raise classify(error, at) from error
