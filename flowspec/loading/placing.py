"""Accounts, put in place of their names in a document."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import ValidationError

from flowspec.connectors import Account, Action, Trigger
from flowspec.loading.accounts import Accounts, UnknownAccountError
from flowspec.loading.document import Document, with_value
from flowspec.loading.messages import described
from flowspec.loading.parts import parts_of
from flowspec.loading.problems import Path, Problem, SpecError
from flowspec.lookups import Asked
from flowspec.objects import model_of
from flowspec.registry import account_model

__all__ = ["put_accounts"]

_Part: TypeAlias = "type[Trigger] | type[Action] | type[Asked]"


def put_accounts(document: Document, accounts: Accounts | None) -> Document:
    """Put accounts in place of their names, and of the objects that a spec has in itself.

    Without `accounts`, because their file is wrong, names stay names.
    """
    problems: list[Problem] = []
    used: set[tuple[str, type[Account]]] = set()
    value = document.value
    for path, contract in parts_of(document.value):
        part = document.at(path)
        written = part.get("account") if isinstance(part, dict) else None
        place = (*path, "account")
        if written is None or document.is_reported(place):
            continue
        try:
            model = model_of(contract, part)
        except ValidationError:
            continue  # the next phase says why
        if not issubclass(model, (Trigger, Action, Asked)):
            continue
        account, more = _account(document, place, written, model, accounts)
        if isinstance(account, Account) and account.known_as is not None:
            used.add((account.known_as, type(account)))
        problems += more
        value = with_value(value, place, account)
    if accounts is not None:
        accounts.warn_if_readable(used)
    return document.followed_by(problems, value)


def _account(
    document: Document, place: Path, written: Any, part: _Part, accounts: Accounts | None
) -> tuple[Any, list[Problem]]:
    """The account that stands for what is written; where it is wrong, a name, so that it is not wrong once more."""
    model = account_model(part)
    if model is None:
        message = f"connector {part.model_fields['connector'].default!r} has no account"
        return None, [document.problem(place, message, "leave 'account' out", at_key=True)]
    if isinstance(written, dict):
        return _inline(document, place, written, model)
    if isinstance(written, str):
        return _named(document, place, written, part, accounts)
    return "", [document.problem(place, "expected the name of an account, or the account as an object")]


def _inline(
    document: Document, place: Path, written: dict[str, Any], model: type[Account]
) -> tuple[Any, list[Problem]]:
    try:
        return model.model_validate(written), []
    except ValidationError as error:
        found = described(error, written, model, _never_shown)
        return "", [
            document.problem((*place, *each.path), each.message, each.hint, at_key=each.of_key)
            for each in found
            if each.of_key or not document.is_reported((*place, *each.path))
        ]


def _named(
    document: Document, place: Path, name: str, part: _Part, accounts: Accounts | None
) -> tuple[Any, list[Problem]]:
    try:
        return (name, []) if accounts is None else (accounts.get(name, part), [])
    except UnknownAccountError as error:
        if place in document.variables:
            message = f"there is no account of the name that {document.variables[place]!r} stands for"
            return "", [document.problem(place, message)]
        return "", [document.problem(place, str(error), error.hint)]
    except SpecError as error:
        return "", error.problems


def _never_shown(_: Path) -> bool:
    """Parameters of accounts are secret, or may be."""
    return True
