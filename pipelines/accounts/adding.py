"""Making a table of what somebody gives on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from flowspec.connectors import Account
from flowspec.loading import Accounts, SpecError
from flowspec.loading.document import texts, with_value
from flowspec.loading.problems import show_path
from flowspec.loading.secret_fields import is_secret
from flowspec.loading.variables import VariableError, fill_in_text
from pipelines.accounts.fields import place_of, value_of

__all__ = ["given_fields", "unset_variables"]


def given_fields(
    model: type[Account], written: Iterable[str], ask: Callable[[str], str], read: Callable[[], str]
) -> dict[str, Any]:
    """The fields that are given as `field=value`; one that is only named is asked for, and `field=-` is read.

    Secrets that an account cannot do without are asked for as well.

    Raises:
        click.UsageError: a field is given twice, or two are to be read.
    """
    values: dict[str, Any] = {}
    is_read = False
    for each in written:
        key, equals, text = each.partition("=")
        path, annotation = place_of(model, key)
        if _has(values, path):
            msg = f"{key} is given twice"
            raise click.UsageError(msg)
        if not equals:
            text = ask(key)
        elif text == "-":
            if is_read:
                msg = f"{key}: stdin is one value, which another field has already"
                raise click.UsageError(msg)
            text, is_read = read(), True
        values = with_value(values, path, value_of(text, annotation))
    for name, field in model.model_fields.items():
        if field.is_required() and is_secret(model, (name,)) and name not in values:
            values[name] = ask(name)
    return values


def unset_variables(accounts: Accounts, name: str, connector: str, model: type[Account]) -> list[str]:
    """See that an account can be made; answers what cannot be seen, because its variable is not set here.

    Raises:
        SpecError: it cannot.
    """
    folder = Path() if accounts.file is None else accounts.file.parent
    unseen: dict[str, str] = {}
    for path, text in texts(accounts.tables[name]):
        try:
            fill_in_text(text, accounts.environ, folder)
        except VariableError as error:
            unseen[show_path((name, *path))] = str(error)
    try:
        accounts.made(name, connector, model)
    except SpecError as error:
        if wrong := [problem for problem in error.problems if problem.path not in unseen]:
            raise SpecError(wrong) from None
    return [f"{path}: {reason}" for path, reason in unseen.items()]


def _has(values: Any, path: tuple[str | int, ...]) -> bool:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True
