"""Accounts: connection and security parameters, kept in a file of their own beside the specs.

Each table of `accounts.toml` is an account:

    [aws]
    connector = "amazon-sqs"
    region = "eu-west-1"
    secret_access_key = "${AWS_SECRET}"

`connector` may be left out; where it is there, no other connector can use the account.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from flowspec.connectors import Account, Action, Trigger
from flowspec.expressions.errors import nearest
from flowspec.loading.document import Document, Place, texts
from flowspec.loading.files import read_text
from flowspec.loading.messages import described
from flowspec.loading.problems import Path, Problem, SpecError, show_path
from flowspec.loading.variables import VariableError, fill_in_text
from flowspec.registry import account_model
from flowspec.spec import model_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Accounts", "UnknownAccountError", "find_accounts", "put_accounts"]

FILE_NAME = "accounts.toml"
_TABLE = re.compile(r"""^\s*\[\s*["']?([^\]"']+?)["']?\s*\]""")
_KEY = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")
_ERROR_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")


class UnknownAccountError(LookupError):
    """There is no account of that name; `hint` says what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True)
class Accounts:
    """The accounts of one file, each made when it is asked for."""

    source: str
    """The name of the file, or where it was looked for."""
    tables: Mapping[str, dict[str, Any]]
    lines: Mapping[Path, int]
    environ: Mapping[str, str]

    def get(self, name: str, part: type[Trigger] | type[Action]) -> Account:
        """The account called `name`, for a trigger or action.

        Raises:
            SpecError: it is there, but is not an account of the connector.
            UnknownAccountError: there is none of that name.
        """
        table = self.tables.get(name)
        if table is None:
            near = nearest(name, self.tables)
            hint = f"did you mean {near!r}?" if near else f"add a table [{name}] to it"
            what = f"there is no account {name!r} in {self.source}"
            raise UnknownAccountError(what, hint)
        model, connector = account_model(part) or Account, part.model_fields["connector"].default
        owner = table.get("connector", connector)
        if owner != connector:
            message = f"the account is for connector {owner!r}, and used for {connector!r}"
            raise SpecError([self._problem((name, "connector"), message)])
        values, problems = self._filled(name, {key: value for key, value in table.items() if key != "connector"})
        try:
            account = model.model_validate(values)
        except ValidationError as error:
            reported = {problem.path for problem in problems}
            found = described(error, values, model, _never_shown)
            problems += [
                self._problem((name, *each.path), each.message, each.hint)
                for each in found
                if show_path((name, *each.path)) not in reported
            ]
        if problems:
            raise SpecError(problems)
        return account.named(name)

    def _filled(self, name: str, values: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        problems = []
        filled = dict(values)
        for path, text in texts(values):
            try:
                filled = _with(filled, path, fill_in_text(text, self.environ))
            except VariableError as error:
                problems.append(self._problem((name, *path), str(error), error.hint))
        return filled, problems

    def _problem(self, path: Path, message: str, hint: str | None = None) -> Problem:
        line = self.lines.get(path[:2]) or self.lines.get(path[:1]) or 0
        return Problem(self.source, show_path(path), line, 1, message, hint)


def find_accounts(file: FilePath | None, folder: FilePath | None, environ: Mapping[str, str]) -> Accounts:
    """The accounts of `file`, or else of `accounts.toml` in `folder` or in the current directory.

    Raises:
        SpecError: the file cannot be read, or is not TOML.
    """
    if file is None:
        folders = [FilePath()] if folder is None else [folder, FilePath()]
        file = next((each / FILE_NAME for each in folders if (each / FILE_NAME).is_file()), None)
        if file is None:
            return Accounts(f"{FILE_NAME}, which is neither beside the spec nor in this directory", {}, {}, environ)
    text = read_text(file)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _ERROR_PLACE.search(str(error))
        place = Place(*map(int, where.groups())) if where and where[1] else Place(text.count("\n") + 1, 1)
        message = f"not valid TOML: {_ERROR_PLACE.sub('', str(error))}"
        raise SpecError([Problem(str(file), "", *place, message)]) from None
    accounts = {name: table for name, table in tables.items() if isinstance(table, dict)}
    return Accounts(str(file), accounts, dict(_lines(text)), environ)


def put_accounts(document: Document, accounts: Accounts | None) -> Document:
    """Put accounts in place of their names, and of the objects that a spec has in itself.

    Without `accounts`, because their file is wrong, names stay names.
    """
    problems: list[Problem] = []
    value = document.value
    for path, contract in _parts(document.value):
        part = document.at(path)
        written = part.get("account") if isinstance(part, dict) else None
        place = (*path, "account")
        if written is None or document.is_reported(place):
            continue
        try:
            model = model_of(contract, part)
        except ValidationError:
            continue  # the next phase says why
        if not issubclass(model, (Trigger, Action)):
            continue
        account, more = _account(document, place, written, model, accounts)
        problems += more
        value = _with(value, place, account)
    return document.followed_by(problems, value)


def _account(
    document: Document, place: Path, written: Any, part: type[Trigger] | type[Action], accounts: Accounts | None
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
    document: Document, place: Path, name: str, part: type[Trigger] | type[Action], accounts: Accounts | None
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


def _parts(value: Any) -> Iterator[tuple[Path, type[Trigger] | type[Action]]]:
    if not isinstance(value, dict):
        return
    if "trigger" in value:
        yield ("trigger",), Trigger
    if "sink" in value:
        yield ("sink",), Action
    sinks = value.get("sinks")
    for index in range(len(sinks) if isinstance(sinks, list) else 0):
        yield ("sinks", index), Action


def _with(value: Any, path: Path, new: Any) -> Any:
    """`value` with `new` at `path`."""
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


def _lines(text: str) -> Iterator[tuple[Path, int]]:
    """Where the tables and their keys are, as far as that can be seen line by line."""
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if match := _TABLE.match(line):
            table = match[1]
            yield (table,), number
        elif match := _KEY.match(line):
            yield (table, match[1]), number
