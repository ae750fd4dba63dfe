"""Accounts from the environment, as containers are told them.

    PIPELINES_ACCOUNT_RABBIT__URL=amqps://rabbit.example.com/shop
    PIPELINES_ACCOUNT_RABBIT__PASSWORD=...

are the fields `url` and `password` of the account `rabbit`. A name is written in capitals, with `_` for whatever is no
letter or digit, and `__` leads into a field: `PIPELINES_ACCOUNT_API__OAUTH2__CLIENT_SECRET`. Values are texts, taken as
they are; the account makes numbers of them. Lists, and objects whose names the user chooses, need the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowspec.loading.problems import Path

__all__ = ["ACCOUNTS_FILE", "account_variables", "prefix_of", "unnamed_accounts"]

ACCOUNTS_FILE = "PIPELINES_ACCOUNTS"
"""The variable that names the file of the accounts."""
_PREFIX = "PIPELINES_ACCOUNT_"
_BETWEEN = "__"


def prefix_of(name: str) -> str:
    """How the variables of an account begin."""
    return _PREFIX + re.sub(r"[^A-Za-z0-9]", "_", name).upper() + _BETWEEN


def account_variables(name: str, environ: Mapping[str, str]) -> dict[Path, str]:
    """The fields of an account that the environment has, with the names of their variables."""
    prefix = prefix_of(name)
    fields = {
        tuple(variable.removeprefix(prefix).lower().split(_BETWEEN)): variable
        for variable in sorted(environ)
        if variable.startswith(prefix)
    }
    return {path: variable for path, variable in fields.items() if all(path)}


def unnamed_accounts(environ: Mapping[str, str], known: Mapping[str, object]) -> list[str]:
    """Accounts that only the environment has; their names are in small letters, whatever they are in a spec."""
    prefixes = {prefix_of(name) for name in known}
    names = {
        variable.removeprefix(_PREFIX).partition(_BETWEEN)[0].lower()
        for variable in environ
        if variable.startswith(_PREFIX) and _BETWEEN in variable.removeprefix(_PREFIX)
    }
    return sorted(name for name in names if name and prefix_of(name) not in prefixes)
