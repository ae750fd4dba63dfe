"""The models of accounts, found by the name of a connector."""

from __future__ import annotations

from flowspec import registry
from flowspec.connectors import Account
from flowspec.errors import FlowError
from flowspec.expressions.errors import nearest

__all__ = ["model_for"]


def model_for(connector: str) -> type[Account]:
    """The model of the accounts of a connector.

    Raises:
        FlowError: there is no such connector, or it has no accounts.
    """
    known = {each.name: each for each in registry.connectors()}
    if connector not in known:
        near = nearest(connector, known)
        hint = f"did you mean {near!r}? " if near else ""
        with_accounts = ", ".join(name for name, each in known.items() if each.account is not None)
        msg = f"unknown connector {connector!r}; {hint}(connectors with accounts: {with_accounts})"
        raise FlowError(msg)
    model = known[connector].account
    if model is None:
        msg = f"connector {connector!r} has no accounts: its specs need none"
        raise FlowError(msg)
    return model
