"""Accounts as they are listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flowspec.errors import FlowError
from flowspec.loading.problems import Path, show_path
from flowspec.loading.secret_fields import is_secret
from pipelines.accounts.models import model_for

if TYPE_CHECKING:
    from flowspec.connectors import Account
    from flowspec.loading import Accounts

__all__ = ["listed"]

_MASK = "********"
_ONE_VARIABLE = re.compile(r"\$\{(?:file:[^}]*|[A-Za-z_][A-Za-z0-9_]*)\}")
"""A text that is nothing but a variable, and has no default."""
_CREDENTIALS = re.compile(r"(?<=://)\S*@")


def listed(accounts: Accounts, name: str) -> Iterator[str]:
    """The lines of one account: its fields as they are written, and where each is; secrets are masked."""
    written = accounts.written(name)
    model, remark = _model(written.pop("connector", None))
    yield f"{name} ({remark})"
    rows = [
        (show_path(path), _shown(value, secret=is_secret(model, path)), accounts.place((name, *path)))
        for path, value in _values(written)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for field, value, place in rows:
        yield f"  {field:{widths[0]}}  {value:{widths[1]}}  {place}"


def _model(connector: Any) -> tuple[type[Account] | None, str]:
    if connector is None:
        return None, "its connector is not named, so every field is masked"
    try:
        return model_for(str(connector)), str(connector)
    except FlowError as error:
        return None, str(error)


def _values(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _values(item, (*path, key))
    else:
        yield path, value


def _shown(value: Any, *, secret: bool) -> str:
    if isinstance(value, str) and _ONE_VARIABLE.fullmatch(value):
        return value
    if secret:
        return _MASK
    if isinstance(value, bool):
        return str(value).lower()
    return _CREDENTIALS.sub(f"{_MASK}@", str(value))
