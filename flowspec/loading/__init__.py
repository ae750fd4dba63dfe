"""Loading: a spec file becomes a flow, or everything that is wrong with it.

A fixed list of phases: text, document with positions, variables, accounts, models. Each adds what is wrong to what was
found before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from flowspec.loading.accounts import Accounts, find_accounts
from flowspec.loading.files import read_text
from flowspec.loading.models import build
from flowspec.loading.parsing import parse
from flowspec.loading.placing import put_accounts
from flowspec.loading.problems import Problem, SpecError
from flowspec.loading.variables import fill_in
from flowspec.spec import FlowSpec

__all__ = ["Accounts", "Problem", "SpecError", "find_accounts", "load", "loads"]


def load(
    path: str | os.PathLike[str],
    accounts: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> FlowSpec:
    """Load a flow from a JSON or YAML file.

    The folder of the file is put on `sys.path` and stays there: functions of `python` steps are found beside it.

    Args:
        path: The spec.
        accounts: The file of the accounts; else the one that `PIPELINES_ACCOUNTS` names, or `accounts.toml` beside the
            spec, or in the current directory.
        environ: The variables for `${NAME}`, and for accounts.

    Raises:
        SpecError: with everything that is wrong.
    """
    file = Path(path)
    text = read_text(file)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return _load(text, str(path), file.parent, accounts, environ)


def loads(
    text: str,
    name: str = "<spec>",
    accounts: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> FlowSpec:
    """Load a flow from the text of a spec; `name` stands for its file in errors. Otherwise like `load`."""
    return _load(text, name, None, accounts, environ)


def _load(
    text: str,
    name: str,
    folder: Path | None,
    accounts: str | os.PathLike[str] | None,
    environ: Mapping[str, str],
) -> FlowSpec:
    document = fill_in(parse(text, name), environ, folder or Path())
    known = None
    try:
        known = find_accounts(None if accounts is None else Path(accounts), folder, environ)
    except SpecError as error:
        document = document.followed_by(error.problems, document.value)
    return build(put_accounts(document, known))
