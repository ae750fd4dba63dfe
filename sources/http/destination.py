"""Where the URL of a spec may lead, as far as that can be known before it is filled in."""

from __future__ import annotations

from flowspec.expressions import Template
from sources.http.account import HttpAccount
from sources.http.addresses import home_of, is_whole, origin_of, problem_with

__all__ = ["check_destination"]


def check_destination(url: Template, account: HttpAccount | str | None) -> None:
    """See that the URL of a spec leads somewhere, and that the account is good for it.

    Raises:
        ValueError: it does not, or the account is not.
    """
    source = url.source
    home = home_of(source)
    is_path = not is_whole(source) and not source.startswith("{")
    if home is not None and (problem := problem_with(home)):
        raise ValueError(problem)
    if isinstance(account, HttpAccount):
        _check_account(account, home, is_path=is_path)
    elif is_path and account is None:
        msg = "url is only a path: give the whole URL, or an account with base_url"
        raise ValueError(msg)


def _check_account(account: HttpAccount, home: str | None, *, is_path: bool) -> None:
    if is_path and account.base_url is None:
        msg = "url is only a path: give the whole URL, or the account a base_url"
        raise ValueError(msg)
    if is_path or not account.has_credentials:
        return
    if home is None and not account.base_url and not account.trusted_hosts:
        msg = (
            "the account's credentials are sent only to a host that is known beforehand: write the host into the URL, "
            "or give the account base_url or trusted_hosts"
        )
        raise ValueError(msg)
    if home is not None and not account.trusts(origin_of(home), home):
        msg = (
            f"the account's credentials are for {account.base_url}, and would not be sent to {home}: add that host to "
            "its trusted_hosts, or use another account"
        )
        raise ValueError(msg)
